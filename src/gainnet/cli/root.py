"""Options that the command line has once: version, completion of a shell, and errors about its own words."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, Final

import click
from click import shell_completion
from typer.core import TyperGroup, TyperOption

from gainnet.catalog.records import NO_NEGATIVE
from gainnet.cli.options import everywhere

_COMPLETE: Final = "_GAINNET_COMPLETE"
"""Variable in which a shell asks for completions."""
_SHELLS: Final = ("bash", "zsh", "fish")
_FAMILIES: Final = ("channel", "fading", "codec", "link", "power", "profile", "estimator", "algorithm", "scenario")


def whole(app: TyperGroup) -> TyperGroup:
    """The group with the options that the command line has once, before any command.

    Args:
        app: all commands.
    """
    shown: Any = {"expose_value": False, "is_eager": True}
    version = TyperOption(
        param_decls=["--version"], is_flag=True, callback=_version, help="Show the version and exit.", **shown
    )
    shell = TyperOption(
        param_decls=["--show-completion"], type=click.Choice(_SHELLS), callback=_completion,
        help="Print what a shell needs to complete commands and options, for its start file, and exit.", **shown,
    )  # fmt: skip
    app.params = [version, shell, *everywhere(is_hidden=False)]
    app.epilog = 'Example: gainnet generate "a red star above a blue house at sunset" --snr-db 0'
    return app


def complete(app: click.Command) -> None:
    """Answers a shell that asks for completions, and ends then."""
    # Before typer looks at the variable: its own answers are in another form than those of click.
    if asked := os.environ.get(_COMPLETE):
        sys.exit(shell_completion.shell_complete(app, {}, "gainnet", _COMPLETE, asked))


def message_of(error: click.ClickException) -> str:
    """Mistake of a command line, with the nearest right word alone.

    Args:
        error: as click raised it.
    """
    # Before the nearest word: it is none that was meant.
    if isinstance(error, click.NoSuchOption) and error.option_name == "--negative-prompt":
        return f"No such option {error.option_name!r}. {NO_NEGATIVE}"
    # Somebody looks for what there is, and no command is near to that.
    if _asked(error).removesuffix("s") in _FAMILIES:
        return f"{error.message} `gainnet names` lists channels, codecs and other things that have names."
    near = getattr(error, "possibilities", None)
    if (wrong := _asked(error)) and not near and isinstance(error, click.UsageError) and error.ctx is not None:
        # Looked for on the wrong level: it is `gainnet study compare`, not `gainnet compare`.
        near = _paths_to(wrong, error.ctx.find_root().command)
    return f"{error.message} Did you mean {near[0]!r}?" if near else error.format_message()


def _asked(error: click.ClickException) -> str:
    """The word that was taken for a command; empty where the mistake is another one."""
    found = re.fullmatch(r"No such command '([\w-]+)'\.", error.message)
    return found[1] if found else ""


def _paths_to(name: str, root: click.Command) -> list[str]:
    """Commands of that name in groups anywhere below, as one types them."""
    if not isinstance(root, click.Group):
        return []
    below = [(each, found) for each, found in root.commands.items() if isinstance(found, click.Group)]
    own = [name] if name in root.commands else []
    return own + [f"{each} {path}" for each, found in below for path in _paths_to(name, found)]


def _version(context: click.Context, option: click.Parameter, is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version

        click.echo(f"gainnet {version('gainnet')}")
        context.exit()


def _completion(context: click.Context, option: click.Parameter, shell: str | None) -> None:
    if shell is not None:
        found = shell_completion.get_completion_class(shell)
        assert found is not None
        click.echo(found(context.command, {}, "gainnet", _COMPLETE).source())
        context.exit()
