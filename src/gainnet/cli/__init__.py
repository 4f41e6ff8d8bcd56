"""The command line: thin doors on the same functions, no logic; one module per group of commands.

Options, their types and their help are generated, by `options`; what the commands write is in `printing`.
"""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import sys
import traceback
from contextlib import suppress

import click
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
    names,
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
from gainnet.cli.options import commanding, group, in_panel
from gainnet.cli.root import complete, message_of, whole
from gainnet.core.errors import GainnetError, Terminated
from gainnet.core.outside import shorten

app = whole(
    group(
        "gainnet",
        "Run generative AI across cloud, edge and device over a 6G radio, and see what it costs.",
        *in_panel(
            "Pictures over the air",
            generate.generate,
            generate.estimate,
            generate.protocols,
            advise.advise,
            commanding(models.models, models.show),
            commanding(
                serve.serve,
                serve.keys,
                group("token", "Who may ask an edge that others reach.", serve.add, serve.listing, serve.revoke),
            ),
            ask.ask,
            group("export", "Write models for devices without torch.", export.device),
        ),
        *in_panel(
            "Learning together",
            learn.learn,
            group(
                "split",
                "Split learning with devices that are processes of their own, over TLS streams.",
                split.keys,
                split.serve,
                split.join,
            ),
            group(
                "flower",
                "The algorithms of learn as a Flower app, in simulation and on many machines.",
                flower.simulate,
                flower.local,
                flower.app,
                flower.keys,
            ),
            group(
                "trust",
                "Learn with safeguards, and check who went into a model, or where a picture comes from.",
                trust.learn,
                trust.keys,
                trust.verify,
            ),
        ),
        *in_panel(
            "Research",
            orchestrate.orchestrate,
            group("study", "Questions with methods, tables and figures, reproducible by name.", *study.commands),
            group(
                "train",
                "Train models, codes and policies, the shipped ones or for a model of yours, into a folder.",
                *train.commands,
                *train_policies.commands,
            ),
            group(
                "measure",
                "Measure the tables and traces that the radio reads, and code pictures for studies.",
                radio.bler,
                radio.trace,
                radio.encodes,
                radio.packets,
            ),
            names.names,
            new.new,
        ),
        *in_panel("This machine", installation.calibrate, installation.doctor),
    )
)

_INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended."""

_TERMINATED = 143
"""Exit code of a command that `kill` ended."""

__all__ = ["app", "main"]


def main() -> None:
    """Entry point: every error a user can mend is one line and exit code 2."""
    # A small model on a busy machine is many times slower with more threads; set the variable for a large one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Left to the system, a kill would leave the servers and workers behind that a command has started.
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        # What an encoding lacks becomes a question mark: a frame of a table is no reason to lose its numbers.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    complete(app)
    sys.exit(_code(app))


def _terminate(number: int, frame: object) -> None:
    raise Terminated(_TERMINATED)


def _code(command: click.Command) -> int:
    """Runs a command, and gives its exit code."""
    try:
        code = command(prog_name="gainnet", standalone_mode=False)
        # At the end of the interpreter a full disk would be a traceback that nobody can catch.
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        typer.echo(error.ctx.get_help() if error.ctx else error.format_message())
        return 2
    except (GainnetError, click.ClickException, OSError, MemoryError) as error:
        return _fail(error)
    except SystemExit as ended:
        # click and rich end so when nobody reads on.
        if isinstance(ended.__context__, BrokenPipeError):
            return _fail(BrokenPipeError(errno.EPIPE, "closed before all was written"))
        code = ended.code
    except (KeyboardInterrupt, click.exceptions.Abort):
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        typer.echo("interrupted; nothing was left half written", err=True)
    return code if isinstance(code, int) else 0


def _fail(error: Exception) -> int:
    if "--debug" in sys.argv:
        traceback.print_exception(error)
    # Whatever is left for standard output would fail once more when the interpreter ends.
    if isinstance(error, OSError) and error.filename is None:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with suppress(OSError):
        line = " ".join(_line_of(error).split())
        # A path of thousands of characters would hide what is wrong with it.
        typer.echo(re.sub(r"\S{200,}", lambda found: f"{found[0][:80]}...", f"error: {line}"), err=True)
    return 2


def _line_of(error: Exception) -> str:
    match error:
        case click.ClickException():
            return message_of(error)
        case MemoryError():
            return "memory: there is not enough for this; give a smaller batch, model or table"
        case OSError(errno=errno.ENOSPC | errno.EPIPE, filename=None):
            return f"standard output: {error.strerror}; write it elsewhere"
        case OSError():
            return f"{shorten(str(error.filename or 'files'))}: {error.strerror or error}; give another place"
        case _:
            return str(error)
