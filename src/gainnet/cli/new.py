"""A package of one's own to begin with: `new`."""

from __future__ import annotations

import typer

from gainnet.cli.options import command


@command("new")
def new(kind: str, name: str) -> None:
    """Write ./NAME, a small package with a codec, channel, protocol, policy, model or study that runs, and its test.

    Args:
        kind: codec, channel, protocol, policy, model or study.
        name: of folder and module, such as my_codec.

    Example:
        gainnet new codec my_codec
    """
    from gainnet.starters import write_starter

    folder = write_starter(kind, name)
    typer.echo((folder / "README.md").read_text(encoding="utf-8"), nl=False)
