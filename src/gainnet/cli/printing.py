"""Output of the commands: tables and JSON on standard output, progress on standard error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from gainnet.studies import Progress


@contextmanager
def status(first: str) -> Iterator[Callable[[str], None]]:
    """A spinner on standard error that names the step."""
    from rich.console import Console

    with Console(stderr=True).status(first) as status:
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
    with bars.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)

        def tell(num_finished: int, num_cases: int, label: str) -> None:
            bar.update(task, completed=num_finished, total=num_cases, description=label)

        yield tell


@contextmanager
def training_progress() -> Iterator[Callable[[str, int, int, float], None]]:
    """A bar on standard error for training: stage, step and loss."""
    with progress("training") as tell:
        yield lambda stage, step, total, loss: tell(step, total, f"{stage} (loss {loss:.4f})")


@contextmanager
def rounds_progress(name: str) -> Iterator[Callable[[int, int, float], None]]:
    """A bar on standard error for rounds of learning: round and test loss."""
    with progress(name) as tell:
        yield lambda num_finished, total, loss: tell(num_finished, total, f"{name} (test loss {loss:.4f})")


def print_json(value: Any) -> None:
    """One JSON object on one line."""
    typer.echo(json.dumps(value, allow_nan=False))


def print_table(title: str, columns: tuple[str, ...], rows: Any) -> None:
    """Rows by column name as a table for people."""
    from rich.console import Console
    from rich.table import Table

    table, console = Table(title=title, title_justify="left"), Console()
    texts = [[cell(row[column]) for column in columns] for row in rows]
    for column, width in zip(columns, _widths(list(zip(columns, *texts, strict=True)), console.width), strict=True):
        table.add_column(column, overflow="fold", width=width)
    for row in texts:
        table.add_row(*row)
    console.print(table)


def _widths(columns: list[tuple[str, ...]], room: int) -> list[int | None]:
    """Width per column at which no word is broken; `None` where the table fits as it is, or words do not fit at all."""
    words = [max(map(len, " ".join(texts).split())) for texts in columns]
    whole = [max(map(len, texts)) for texts in columns]
    spare = room - 3 * len(columns) - 1 - sum(words)  # a column has three characters of frame, and one closes the row
    missing = sum(whole) - sum(words)
    if not 0 <= spare < missing:
        return [None] * len(columns)
    # rich shortens the widest column first, and breaks its words; the room that is left is shared by need.
    return [least + spare * (most - least) // missing for least, most in zip(words, whole, strict=True)]


def cell(value: Any) -> str:
    """A value for a table: a dash for nothing, five significant digits for a float."""
    if value is None:
        return "–"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
