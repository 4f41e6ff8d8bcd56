"""Text files line by line and tables row by row, as streams with limits."""

from __future__ import annotations

import csv
import io
import lzma
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from gainnet.core.errors import ConfigError

MOST_CHARACTERS: Final = 2**24
"""Longest line; a whole file without a line end would otherwise be one string in memory. Assumed."""

MOST_TIMES: Final = 100
"""How many times the packed size a file may have unpacked: text is packed by xz to a tenth, a bomb to a thousandth."""

MOST_SMALL: Final = 2**20
"""Bytes up to which a packed file may unpack whatever its size: short files of few words are packed best."""


def lines_of(path: Path, field: str, instead: str, end: str | None = None) -> Iterator[str]:
    r"""The lines of a UTF-8 file, plain or xz-compressed, without their ends, which are \n, \r\n or \r and no others.

    Args:
        path: the file; a byte order mark at its beginning is no part of the first line.
        field: what it is given as, for errors.
        instead: what to give instead, for errors.
        end: the only line end, where a line may hold the others.

    Raises:
        ConfigError: it cannot be read, is no UTF-8, a line is too long, or it unpacks to far more than it can hold.
    """
    is_packed = path.suffix == ".xz"
    try:
        most = max(MOST_SMALL, MOST_TIMES * path.stat().st_size) if is_packed else None
        with lzma.open(path) if is_packed else path.open("rb") as file:
            yield from bounded_lines(file, field, path, most, end)
    except OSError as error:
        raise ConfigError(f"{field}: {path} cannot be read ({error.strerror or error}); give {instead}") from None
    except (EOFError, lzma.LZMAError) as error:
        raise ConfigError(f"{field}: {path} cannot be read as xz ({error}); give {instead}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{field}: {path} is not UTF-8 text; give {instead}") from None


def bounded_lines(
    file: IO[bytes], field: str, path: Path | str, most: int | None = None, end: str | None = None
) -> Iterator[str]:
    """Lines of an open file, of bounded length.

    Args:
        file: UTF-8 text.
        field: what it is given as, for errors.
        path: its name, for errors.
        most: characters of all of it; unbounded when `None`.
        end: as of `lines_of`.

    Raises:
        ConfigError: a line or the whole is longer.
        UnicodeDecodeError: it is no UTF-8.

    >>> list(bounded_lines(io.BytesIO("one\\u2028line\\r\\ntwo\\r".encode()), "texts", "a.txt"))
    ['one\\u2028line', 'two']
    """
    num_read = 0
    # Universal line ends: unlike str.splitlines() they leave U+2028, U+0085 and form feeds where they are.
    with io.TextIOWrapper(file, encoding="utf-8-sig", newline=end) as text:
        while line := text.readline(MOST_CHARACTERS):
            num_read += len(line)
            if len(line) == MOST_CHARACTERS:
                raise ConfigError(f"{field}: {path} has a line of over {MOST_CHARACTERS:,} characters; cut it")
            if most is not None and num_read > most:
                raise ConfigError(f"{field}: {path} unpacks to over {most:,} bytes; give it unpacked if it is no bomb")
            yield line.removesuffix("\n")


def table_of(lines: Iterable[str], where: str) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """(columns, rows) of CSV text; a row is its line's number and its cells by column, empty lines are left out.

    Args:
        lines: of the file, the first has the columns.
        where: field and file, for errors.

    Raises:
        ConfigError: a column is there twice, or a row has more cells than the header, as decimal commas make.

    >>> columns, rows = table_of(["time_s,snr_db", "0,12.5", "1,12,5"], "trace: a.csv")
    >>> next(rows)
    (2, {'time_s': '0', 'snr_db': '12.5'})
    >>> next(rows)
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: trace: a.csv, line 3 has 3 cells under 2 columns; write decimals with a point
    """
    reader = csv.reader(line + "\n" for line in lines)
    columns = next(_parsed(reader, where), [])
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise ConfigError(f"{where} has the column {twice[0][:40]!r} twice; keep one of them")
    return columns, _rows(reader, columns, where)


def _rows(reader: Any, columns: list[str], where: str) -> Iterator[tuple[int, dict[str, str]]]:
    for cells in _parsed(reader, where):
        if len(cells) > len(columns):
            counts = f"{len(cells)} cells under {len(columns)} columns"
            raise ConfigError(f"{where}, line {reader.line_num} has {counts}; write decimals with a point")
        if cells:
            yield reader.line_num, dict(zip(columns, cells, strict=False))


def _parsed(reader: Any, where: str) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise ConfigError(f"{where}, line {reader.line_num} is no CSV ({error}); mend it") from None


def number_of(text: str) -> float:
    """The number that a cell writes; raises `ValueError` for anything else.

    >>> number_of(" -4.75")
    -4.75
    >>> number_of("1_0")
    Traceback (most recent call last):
    ValueError: '1_0' is not a number
    """
    # Python takes 1_0 for ten, as no other program does.
    if "_" in text:
        raise ValueError(f"{text!r} is not a number")
    return float(text)
