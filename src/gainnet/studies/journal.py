"""What an unfinished run has found out: one line per finished case, safe against a kill at any moment."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from gainnet.core.errors import ConfigError
from gainnet.studies.study import Case, Row, Value


@contextmanager
def journal(path: Path) -> Iterator[Journal]:
    """The journal at `path`, held by this process alone; a line that a killed run left unfinished is cut off.

    Raises:
        ConfigError: another process holds it, or it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ConfigError(f"out: cannot write {path} ({error.strerror}); give another --out") from None
    try:
        _lock(descriptor, path)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            lines = list(_whole_lines(file))
        os.ftruncate(descriptor, sum(length for length, _ in lines))
        os.lseek(descriptor, 0, os.SEEK_END)
        yield Journal(descriptor, {line["key"]: line for _, line in lines})
    finally:
        os.close(descriptor)


@final
@dataclass(frozen=True)
class Journal:
    """Finished cases of a run that may be cut off at any moment, one JSON line each.

    Args:
        descriptor: file open for writing, at its end.
        lines: what was found, by case key; grows with `append`.
    """

    descriptor: int
    lines: dict[str, dict[str, Any]]

    def __contains__(self, case: Case) -> bool:
        return case.key in self.lines

    def append(self, case: Case, row: Row, wall_s: float) -> None:
        """Keeps a finished case: one write of one line, on the disk when it returns."""
        line = {"key": case.key, "row": {k: _number(v) for k, v in row.items()}, "wall_s": round(wall_s, 3)}
        os.write(self.descriptor, (json.dumps(line) + "\n").encode())
        os.fsync(self.descriptor)
        self.lines[case.key] = line

    def row(self, case: Case) -> Row:
        """What stands in the table for a finished case."""
        return {**case.columns, **self.lines[case.key]["row"]}

    @property
    def wall_s(self) -> float:
        """Seconds that the cases took, over all attempts."""
        return math.fsum(line["wall_s"] for line in self.lines.values())


def _lock(descriptor: int, path: Path) -> None:
    """An advisory lock that the kernel lifts when the process ends, however it ends."""
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"out: another run is writing {path.parent}; wait for it or give another --out") from None


def _whole_lines(file: Iterable[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(length, line) up to the first line that is not whole."""
    for raw in file:
        try:
            line = json.loads(raw)
        except ValueError:
            return
        if not raw.endswith(b"\n") or not isinstance(line, dict) or {"key", "row", "wall_s"} - set(line):
            return
        yield len(raw), line


def _number(value: Value) -> Value:
    """Seven significant digits, so that the last bits of a sum do not make another table; not finite: `None`."""
    if isinstance(value, bool) or not isinstance(value, float):
        return value
    return float(f"{value:.7g}") if math.isfinite(value) else None
