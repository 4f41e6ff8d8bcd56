"""Output of the commands: tables and JSON on standard output, progress on standard error."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final, final

import typer

if TYPE_CHECKING:
    from gainnet.studies import Progress

EVERY_S: Final = 10.0
"""Between two lines of progress where nobody watches a terminal."""


@contextmanager
def status(first: str) -> Iterator[Callable[[str], None]]:
    """A spinner on standard error that names the step; in a log a line now and then."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines().name
        return
    with console.status(first) as status:
        yield status.update


@contextmanager
def progress(name: str) -> Iterator[Progress]:
    """A bar on standard error."""
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"), bars.BarColumn(), bars.MofNCompleteColumn(), bars.TimeRemainingColumn()
    )  # fmt: skip
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines().tell
        return
    with bars.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None)

        def tell(num_finished: int, num_cases: int, label: str) -> None:
            bar.update(task, completed=num_finished, total=num_cases, description=label)

        yield tell


@final
class _Lines:
    """Progress where no bar can be drawn, as in a log: a line now and then, and none of what is over soon."""

    def __init__(self) -> None:
        self._last_s = time.monotonic()

    def tell(self, num_finished: int, num_cases: int, label: str) -> None:
        self.name(f"{label}: {num_finished} of {num_cases}")

    def name(self, step: str) -> None:
        now_s = time.monotonic()
        if now_s - self._last_s >= EVERY_S:
            self._last_s = now_s
            typer.echo(step, err=True)


@contextmanager
def training_progress() -> Iterator[Callable[[str, int, int, float], None]]:
    """A bar on standard error for training: stage, step and, where there is one, loss."""
    with progress("training") as tell:
        # A stage that only collects, as of latents, has no loss and reports 0.
        yield lambda stage, step, total, loss: tell(step, total, f"{stage} (loss {loss:.4f})" if loss else stage)


@contextmanager
def rounds_progress(name: str) -> Iterator[Callable[[int, int, float], None]]:
    """A bar on standard error for rounds of learning: round and test loss."""
    with progress(name) as tell:
        yield lambda num_finished, total, loss: tell(num_finished, total, f"{name} (test loss {loss:.4f})")


def print_rounds(title: str, curve: Sequence[Mapping[str, Any]], rounds: Sequence[Mapping[str, Any]]) -> None:
    """Rounds of learning for people, round 0 included.

    Args:
        title: of the table.
        curve: test loss by round.
        rounds: costs by round.
    """
    costs, rows = {record["round"]: record for record in rounds}, []
    for point in curve:
        row = {"round": point["round"], "test loss": f"{point['test_loss']:.4f}"}
        cost = costs.get(point["round"])
        # Round 0 is the model before any: nothing was spent on it.
        row |= {head: None if cost is None else write(cost[key]) for head, (key, write) in _COSTS.items()}
        rows.append(row)
    print_table(title, ("round", "test loss", *_COSTS), rows)


_COSTS: Final[Mapping[str, tuple[str, Callable[[float], str]]]] = {
    "bits up": ("num_bits_up", "{:,.0f}".format),
    "bits down": ("num_bits_down", "{:,.0f}".format),
    "seconds": ("duration_s", "{:.4g}".format),
    "joules": ("energy_j", "{:.4g}".format),
    "codewords again": ("num_retransmissions", "{:,.0f}".format),
    "lost": ("num_lost", "{:,.0f}".format),
}


def say(line: str) -> None:
    """A sentence on standard output, which breaks at words in a terminal and stays whole where a program reads on."""
    from rich.console import Console

    console = Console()
    if console.is_terminal:
        # A path or a digest stays whole even where it is longer than a line, so that it can be copied.
        line = fill(line, console.width, break_long_words=False, break_on_hyphens=False)
    typer.echo(line)


def print_json(value: Any) -> None:
    """One JSON object on one line."""
    typer.echo(json.dumps(value, allow_nan=False))


def print_table(title: str, columns: tuple[str, ...], rows: Any) -> None:
    """Rows by column name as a table for people, or as a list where its words do not fit beside each other."""
    from rich.console import Console
    from rich.table import Table

    table, console = Table(title=title, title_justify="left"), Console()
    heads = [heading(column) for column in columns]
    texts = [[cell(row[column]) for column in columns] for row in rows]
    widths = _widths(list(zip(heads, *texts, strict=True)), console.width)
    if widths is None:
        return _print_list(title, heads, texts)
    for head, width in zip(heads, widths, strict=True):
        table.add_column(head, overflow="fold", width=width)
    for row in texts:
        table.add_row(*row)
    return console.print(table)


def _print_list(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under each other: a word that is broken can be neither read nor copied."""
    typer.echo(title)
    for row in rows:
        marks = ("- ", *["  "] * len(row))
        for mark, head, text in zip(marks, heads, row, strict=False):
            typer.echo(f"{mark}{head}: {' '.join(text.split())}")


def _widths(columns: list[tuple[str, ...]], room: int) -> list[int | None] | None:
    """Width per column at which no word is broken, `None` each where all fits; `None` where words do not fit at all."""
    words = [max(map(len, " ".join(texts).split())) for texts in columns]
    whole = [max(len(line) for text in texts for line in text.splitlines() or [""]) for texts in columns]
    spare = room - 3 * len(columns) - 1 - sum(words)  # a column has three characters of frame, and one closes the row
    missing = sum(whole) - sum(words)
    if spare < 0:
        return None
    if spare >= missing:
        return [None] * len(columns)
    # rich shortens the widest column first, and breaks its words; the room that is left is shared by need.
    return [least + spare * (most - least) // missing for least, most in zip(words, whole, strict=True)]


_UNITS: Final = {"s": "s", "ms": "ms", "j": "J", "db": "dB", "hz": "Hz", "w": "W"}


def heading(name: str) -> str:
    """The name of a field as people write it.

    Args:
        name: of a column, which may be a field of a record.

    >>> heading("num_bits_up"), heading("energy_j"), heading("time s")
    ('bits up', 'energy J', 'time s')
    """
    first, *others = name.removeprefix("num_").split("_")
    return " ".join([first, *(_UNITS.get(each, each) for each in others)])


def cell(value: Any) -> str:
    """A value for a table: a dash for nothing, whole numbers whole, five significant digits of others.

    Args:
        value: of any type.

    >>> cell(None), cell(True), cell(12345.0), cell(0.1234567), cell(8208.33), cell(250000.5)
    ('–', 'yes', '12,345', '0.12346', '8,208.3', '250,000')
    """
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case float() if math.isfinite(value) and (value.is_integer() or abs(value) >= 1e5):
            return f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.5g}"
        case float():
            return f"{value:,.5g}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)
