"""The command line: thin doors on the same functions, no logic; one module per group of commands.

Options, their types and their help are generated, by `options`; what the commands write is in `printing`.
"""

from __future__ import annotations

import os
import signal
import sys

import typer

from gainnet.cli import (
    advise,
    ask,
    export,
    flower,
    generate,
    installation,
    learn,
    models,
    new,
    orchestrate,
    radio,
    serve,
    split,
    study,
    train,
    train_policies,
    trust,
)
from gainnet.cli.options import commanding, group
from gainnet.core.errors import GainnetError

app = group(
    "gainnet",
    "Run generative AI across cloud, edge and device over a 6G radio, and see what it costs.",
    generate.generate,
    generate.estimate,
    generate.protocols,
    ask.ask,
    advise.advise,
    orchestrate.orchestrate,
    installation.calibrate,
    installation.doctor,
    learn.learn,
    commanding(models.models, models.show),
    new.new,
    group("export", "Write models for devices without torch.", export.device),
    group(
        "flower",
        "The algorithms of learn as a Flower app, in simulation and on many machines.",
        flower.simulate,
        flower.local,
        flower.app,
        flower.keys,
    ),
    group(
        "measure",
        "Measure the tables and traces that the radio reads, and code pictures for studies.",
        radio.bler,
        radio.trace,
        radio.encodes,
        radio.packets,
    ),
    commanding(
        serve.serve,
        serve.keys,
        group("token", "Who may ask an edge that others reach.", serve.add, serve.listing, serve.revoke),
    ),
    group(
        "split",
        "Split learning with devices that are processes of their own, over TLS streams.",
        split.keys,
        split.serve,
        split.join,
    ),
    group("study", "Questions with methods, tables and figures, reproducible by name.", *study.commands),
    group("train", "Train what the package ships, into a folder of yours.", *train.commands, *train_policies.commands),
    group(
        "trust",
        "Learn with safeguards, and check who went into a model, or where a picture comes from.",
        trust.learn,
        trust.keys,
        trust.verify,
    ),
)

_INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended."""

_TERMINATED = 143
"""Exit code of a command that `kill` ended."""

__all__ = ["app", "main"]


def main() -> None:
    """Entry point: every error a user can mend is one line and exit code 2."""
    import click

    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # A small model on a busy machine is many times slower with more threads; set the variable for a large one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Left to the system, a kill would leave the servers and workers behind that a command has started.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(_TERMINATED))
    try:
        code = app(standalone_mode=False)
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
