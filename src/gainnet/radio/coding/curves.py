"""Curves that take minutes each, measured one after the other into a table that is there whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gainnet.core.files import check_file, write_whole
from gainnet.core.run.journal import journal


def write_curves(
    path: Path,
    how: Mapping[str, str],
    measures: Mapping[str, Callable[[], dict[str, Any]]],
    progress: Callable[[str, Mapping[str, Any]], None] = lambda name, curve: None,
) -> None:
    """Measures curves and writes their table as JSON; a measurement that was killed goes on after its last curve.

    Finished curves are kept in a folder `.NAME.curves` beside the table, which is removed when the table is written.

    Args:
        path: file to write.
        how: of the measurement; curves that were measured otherwise are measured again.
        measures: makes a curve, by its name.
        progress: receives the name of every curve that is measured, and the curve.

    Raises:
        ConfigError: the file cannot be written, which is found out before the first curve.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_curves(Path(folder) / "table.json", {"code": "none"}, {"mcs 0": lambda: {"median_snr_db": 0.5}})
    ...     print([path.name for path in Path(folder).iterdir()], (Path(folder) / "table.json").read_text())
    ['table.json'] {"schema": 1,
     "how": {"code": "none"},
     "curves": [
      {"median_snr_db": 0.5}
     ]}
    <BLANKLINE>
    """
    check_file(path)
    # A folder of its own, since a journal holds its folder and others may write theirs beside this table.
    kept = path.with_name(f".{path.name}.curves")
    with journal(kept / "journal.jsonl", json.dumps(how)) as finished:
        for name, measure in measures.items():
            if name not in finished.entries:
                finished.append(name, measure())
                progress(name, finished.entries[name])
        rows = ",\n  ".join(json.dumps(finished.entries[name]) for name in measures)
        write_whole(path, f'{{"schema": 1,\n "how": {json.dumps(how)},\n "curves": [\n  {rows}\n ]}}\n'.encode())
        shutil.rmtree(kept)
