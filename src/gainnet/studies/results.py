"""A run is a folder: run.json, table.csv and figures; a journal of finished cases until it is complete.

<out>/<study>/<config hash>/
    journal.jsonl   one line per finished case, gone when the table is written
    run.json        settings, versions, random seeds, date, wall time, metrics, digest of the table
    table.csv       long: one row per method, swept values and random seed
    figures/        drawn from table.csv alone
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from gainnet.core.errors import ConfigError
from gainnet.core.files import write_json, write_whole
from gainnet.generation.extras import installed
from gainnet.studies.study import Row

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
SHA256, TABLE_SHA256 = "sha256", "table_sha256"
"""Entries of run.json: digests of its other entries and of table.csv."""
PACKAGES = ("gainnet", "torch", "numpy", "scipy", "sionna-no-rt", "diffusers", "transformers", "constriction", "pillow")

KINDS: Mapping[str, tuple[type, ...]] = {
    "study": (str,),
    "source": (str,),
    "config": (dict,),
    "identity": (dict,),
    "commit": (str, type(None)),
    "versions": (dict,),
    "complete": (bool,),
}
"""Entries of every run.json and their types."""

KINDS_WHEN_COMPLETE: Mapping[str, tuple[type, ...]] = {"wall_s": (int, float), "metrics": (dict,)}


@final
@dataclass(frozen=True)
class RunFolder:
    """Where one run keeps what it has found out so far.

    Args:
        path: `<out>/<study>/<config hash>`.
    """

    path: Path

    @property
    def table_path(self) -> Path:
        return self.path / "table.csv"

    @property
    def journal_path(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def figures_path(self) -> Path:
        return self.path / "figures"

    def read_run(self) -> dict[str, Any]:
        """run.json; `{}` before the first run.

        Raises:
            ConfigError: it is damaged.
        """
        path = self.path / "run.json"
        try:
            run: Any = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (ValueError, OSError, RecursionError):
            raise damage_error(path) from None
        # Runs that were published before digests were written have none, here and for the table.
        digest = run.pop(SHA256, None) if isinstance(run, dict) else None
        if not _is_run(run) or digest not in (None, _digest(run)):
            raise damage_error(path)
        return dict(run)

    def write_run(self, run: Mapping[str, Any]) -> None:
        write_json(self.path / "run.json", {**run, SHA256: _digest(run)})

    def read_table(self) -> pd.DataFrame:
        """The rows of table.csv.

        Raises:
            ConfigError: the folder holds no finished run, or its table is damaged.
        """
        import pandas as pd

        run = self.read_run()
        if not self.table_path.is_file():
            if run.get("complete"):
                raise damage_error(self.table_path, "it is missing")
            raise ConfigError(f"run: {self.path} holds no table.csv; give the folder of a finished study")
        try:
            content = self.table_path.read_bytes()
            table = pd.read_csv(io.BytesIO(content))
        except (ValueError, OSError):  # pandas' own errors and those of the encoding are ValueErrors
            raise damage_error(self.table_path) from None
        if table.empty or not {"method", "random_seed"} <= set(table.columns):
            raise damage_error(self.table_path)
        # A table that is cut within its last line still has all of its rows.
        if len(table) != run.get("num_cases", len(table)) or not content.endswith(b"\n"):
            raise damage_error(self.table_path, "rows are missing")
        if TABLE_SHA256 in run and run[TABLE_SHA256] != hashlib.sha256(content).hexdigest():
            raise damage_error(self.table_path, f"{TABLE_SHA256} in run.json is that of another table")
        return table

    def write_table(self, rows: Iterable[Row]) -> str:
        """Writes table.csv and returns its SHA-256."""
        content = _csv(list(rows))
        write_whole(self.table_path, content)
        return hashlib.sha256(content).hexdigest()


def folder_of(path: Path) -> Path:
    """The folder of a run by the hash in its name, or by the hash that its settings have had since.

    `hashes.json` beside the folders of the studies lists, by study, what the hash of a published run has become.

    Args:
        path: `<out>/<study>/<config hash>`.
    """
    try:
        known = json.loads((path.parent.parent / "hashes.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return path
    if path.is_dir() or not isinstance(known, dict):
        return path
    renamed = known.get(path.parent.name, {})
    return next((path.with_name(old) for old, new in renamed.items() if new == path.name), path)


def damage_error(path: Path, why: str = "") -> ConfigError:
    """The error for a file of a run that cannot be used.

    >>> str(damage_error(Path("run.json")))
    'run: run.json is damaged; delete the folder and run again'
    """
    return ConfigError(f"run: {path} is damaged{f' ({why})' if why else ''}; delete the folder and run again")


def config_hash(identity: Mapping[str, Any]) -> str:
    """12 hexadecimal digits of everything that decides the numbers of a run.

    >>> config_hash({"b": 1, "a": 2}) == config_hash({"a": 2, "b": 1})
    True
    """
    return _digest(identity)[:12]


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def versions() -> dict[str, str | None]:
    """Python and the packages that numbers depend on; `None` where one is not installed."""
    return {"python": sys.version.split()[0], **{name: installed(name) for name in PACKAGES}}


def commit() -> str | None:
    """The git commit of this source tree, with `-dirty` when sources differ from it; `None` where it is not tracked."""
    here = Path(__file__)
    if not _git(here.parent, "ls-files", here.name):
        return None
    # Of this package alone: what lies beside it changes no number.
    changed = _git(here.parents[1], "status", "--porcelain", "--untracked-files=no", ".")
    return _git(here.parent, "rev-parse", "HEAD") + ("-dirty" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    """The output of git; empty where it fails or is not installed."""
    try:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _is_run(run: Any) -> bool:
    """Whether a run.json holds all that is read from it."""
    if not isinstance(run, dict) or not _has(run, KINDS):
        return False
    if not run["complete"]:
        return True
    return _has(run, KINDS_WHEN_COMPLETE) and all(
        x is None or isinstance(x, int | float) for x in run["metrics"].values()
    )


def _has(run: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> bool:
    return all(name in run and isinstance(run[name], kind) for name, kind in kinds.items())


def _csv(rows: list[Row]) -> bytes:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    # Not by pandas, which makes floats of whole numbers in a column that has an empty cell.
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
