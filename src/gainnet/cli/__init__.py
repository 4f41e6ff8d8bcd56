"""The command line: thin doors on the same functions, no logic; one module per group of commands."""

from __future__ import annotations

import os
import sys

import typer

from gainnet.cli import (
    advise,
    flower,
    generate,
    installation,
    learn,
    orchestrate,
    radio,
    split,
    study,
    train,
    train_checker,
    train_orchestration,
    train_power,
    train_seed_codec,
    train_summaries,
    train_transform_seed,
    trust,
)
from gainnet.core.errors import GainnetError

app = typer.Typer(
    help="Run generative AI across cloud, edge and device over a 6G radio, and see what it costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(generate.app)
app.add_typer(advise.app)
app.add_typer(orchestrate.app)
app.add_typer(installation.app)
app.add_typer(learn.app)
app.add_typer(flower.app, name="flower")
app.add_typer(radio.app, name="measure")
app.add_typer(split.app, name="split")
app.add_typer(study.app, name="study")
app.add_typer(train.app, name="train")
app.add_typer(trust.app, name="trust")

_INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended."""

__all__ = [
    "app",
    "main",
    "train_checker",
    "train_orchestration",
    "train_power",
    "train_seed_codec",
    "train_summaries",
    "train_transform_seed",
]


def main() -> None:
    """Entry point: every error a user can mend is one line and exit code 2."""
    import click

    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # A small model on a busy machine is many times slower with more threads; set the variable for a large one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        code = typer.main.get_command(app)(standalone_mode=False)
    except GainnetError as error:
        code = _fail(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        typer.echo(error.ctx.get_help() if error.ctx else error.format_message())
        code = 2
    except click.ClickException as error:
        code = _fail(error.format_message())
    except (KeyboardInterrupt, click.exceptions.Abort):
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        typer.echo("interrupted; nothing was left half written", err=True)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> int:
    typer.echo("error: " + " ".join(message.split()), err=True)
    return 2
