"""A run as data for other programs: rows and metrics with a schema that names types and units.

<out>/
    datapackage.json    Frictionless Data Package: study, settings, and every column with its type and unit
    rows.csv            one row per method, swept values and random seed
    metrics.csv         one row per metric with a value, and the ends of its interval where it has one
    *.parquet           the same with types, units in the metadata of every column
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, final

from gainnet.core.errors import ConfigError, import_extra, unknown_name
from gainnet.core.files import check_writable, write_json, write_whole
from gainnet.studies.measured import measured
from gainnet.studies.results import RunFolder, folder_of

if TYPE_CHECKING:
    import pandas as pd

FORMATS: Final = ("csv", "parquet")
Kind = Literal["string", "integer", "number", "boolean"]

UNIT_OF_ENDING: Final[Mapping[str, str]] = {
    "db": "dB", "dbm": "dBm", "ms": "ms", "s": "s", "j": "J", "w": "W", "hz": "Hz", "m": "m", "bits": "bit",
    "bytes": "byte", "flops": "FLOP", "cycles": "cycle", "gigabytes": "GB",
}  # fmt: skip
"""Units by the last word of a name, as everywhere in gainnet; a name without such a word has no dimension."""

COUNTED: Final[Mapping[str, str]] = {
    "num_channel_uses": "complex channel use", "num_bits": "bit", "num_bytes": "byte", "uses": "complex channel use",
}  # fmt: skip
"""Units by the first words of a name."""


@final
@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        name: of the column.
        kind: of its values; every one may be missing.
        unit: symbol of SI or of gainnet, `1` for what has no dimension, empty for text and truth values.
    """

    name: str
    kind: Kind
    unit: str

    def field(self) -> dict[str, str]:
        """As a field of a Table Schema."""
        return {"name": self.name, "type": self.kind, **({"unit": self.unit} if self.unit else {})}


def unit_of(name: str) -> str:
    """Unit of a column or metric by its name, `1` where it has none.

    >>> [unit_of(name) for name in ("duration_s_expected", "psnr_db.linear.0db", "num_bits_up", "ssim", "num_images")]
    ['s', 'dB', 'bit', '1', '1']
    """
    first = name.partition(".")[0]
    # A ratio has no dimension, whatever it is of; a gain in dB has.
    if "_over_" in first and first.rpartition("_")[2] not in UNIT_OF_ENDING:
        return "1"
    for beginning, unit in COUNTED.items():
        if first.startswith(beginning):
            return unit
    # `measured_decision_s`, `duration_s_expected`, `uses_for_30db`: the last word that is a unit.
    words = [word for word in first.split("_") if word in UNIT_OF_ENDING]
    return UNIT_OF_ENDING[words[-1]] if words else "1"


def columns_of(table: pd.DataFrame) -> tuple[Column, ...]:
    """The columns of a table; a whole number that is missing somewhere stays one.

    Args:
        table: of a run.

    >>> import pandas as pd
    >>> columns_of(pd.DataFrame({"method": ["a", "b"], "snr_db": [0.5, None], "num_images": [4.0, None]}))[1:]
    (Column(name='snr_db', kind='number', unit='dB'), Column(name='num_images', kind='integer', unit='1'))
    """
    return tuple(_column(str(name), table[name]) for name in table.columns)


def _column(name: str, values: pd.Series[Any]) -> Column:
    from pandas.api import types

    held = values.dropna()
    if types.is_bool_dtype(held) or (len(held) and set(map(str, held)) <= {"True", "False"}):
        return Column(name, "boolean", "")
    if not types.is_numeric_dtype(held):
        return Column(name, "string", "")
    # An empty cell makes pandas read a column of whole numbers as floats.
    is_whole = bool(len(held)) and bool((held % 1 == 0).all()) and (name.startswith("num_") or name == "random_seed")
    return Column(name, "integer" if is_whole or types.is_integer_dtype(held) else "number", unit_of(name))


def export_run(path: Path, out: Path, formats: tuple[str, ...] = ("csv",)) -> tuple[Path, ...]:
    """Writes a finished run as data.

    Args:
        path: folder of the run.
        out: folder for the files.
        formats: csv, parquet or both.

    Returns:
        The files, the schema first.

    Raises:
        ConfigError: an unknown format, no finished run, or a folder that cannot be written.
        MissingExtraError: parquet without pyarrow.
    """
    for name in formats:
        if name not in FORMATS:
            raise unknown_name("format", name, FORMATS)
    writer = import_extra("pyarrow.parquet", "pyarrow", "tables") if "parquet" in formats else None
    folder = RunFolder(folder_of(path))
    run = folder.read_run()
    if not run.get("complete"):
        raise ConfigError(f"run: {path} holds no finished run; finish it with gainnet study run")
    check_writable(out)
    tables = {"rows": folder.read_table(), "metrics": _metrics(run["metrics"])}
    schemas = {name: columns_of(table) for name, table in tables.items()}
    tables = {name: _typed(table, schemas[name]) for name, table in tables.items()}
    package = out / "datapackage.json"
    write_json(package, _package(run, schemas, tables["rows"], formats))
    files = [package]
    for name, table in tables.items():
        if "csv" in formats:
            files.append(out / f"{name}.csv")
            write_whole(files[-1], table.to_csv(index=False, lineterminator="\n").encode())
        if writer is not None:
            files.append(out / f"{name}.parquet")
            write_whole(files[-1], _parquet(writer, table, schemas[name], run))
    return tuple(files)


def _metrics(metrics: Mapping[str, float | None]) -> pd.DataFrame:
    import pandas as pd

    rows = [(one.name, one.value, one.low, one.high, unit_of(one.name)) for one in measured(metrics).values()]
    frame = pd.DataFrame(rows, columns=["metric", "value", "low", "high", "unit"])
    return frame.astype({"value": float, "low": float, "high": float})


_PANDAS: Final[Mapping[Kind, str]] = {"string": "string", "integer": "Int64", "number": "float64", "boolean": "boolean"}


def _typed(table: pd.DataFrame, columns: tuple[Column, ...]) -> pd.DataFrame:
    kinds: Any = {column.name: _PANDAS[column.kind] for column in columns}
    truths = {column.name: table[column.name].map(_truth) for column in columns if column.kind == "boolean"}
    return table.assign(**truths).astype(kinds)


def _truth(value: Any) -> bool | None:
    return {"True": True, "False": False}.get(str(value))


def _package(
    run: Mapping[str, Any], schemas: Mapping[str, tuple[Column, ...]], rows: pd.DataFrame, formats: tuple[str, ...]
) -> dict[str, Any]:
    """The description of a package, by the standard of datapackage.org."""
    keys = list(rows.columns[: list(rows.columns).index("random_seed") + 1])
    return {
        "name": run["study"],
        "created": run.get("date"),
        "config": run["config"],
        "commit": run["commit"],
        "versions": run["versions"],
        "resources": [
            {
                "name": name,
                "path": f"{name}.{formats[0]}",
                "schema": {
                    "fields": [column.field() for column in columns],
                    "primaryKey": keys if name == "rows" else ["metric"],
                    "missingValues": [""],
                },
            }
            for name, columns in schemas.items()
        ],
    }


def _parquet(writer: Any, table: pd.DataFrame, columns: tuple[Column, ...], run: Mapping[str, Any]) -> bytes:
    arrow = import_extra("pyarrow", "pyarrow", "tables")
    units = {column.name: column.unit for column in columns}
    made = arrow.Table.from_pandas(table, preserve_index=False)
    fields = [field.with_metadata({"unit": units[field.name]}) if units[field.name] else field for field in made.schema]
    about = {"study": run["study"], "config": json.dumps(run["config"]), "commit": run["commit"] or "unknown"}
    file = io.BytesIO()
    writer.write_table(made.cast(arrow.schema(fields, metadata=about)), file)
    return file.getvalue()
