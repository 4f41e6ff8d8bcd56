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

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell(row[column]) for column in columns))
    Console().print(table)


def cell(value: Any) -> str:
    """A value for a table: a dash for nothing, five significant digits for a float."""
    if value is None:
        return "–"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
