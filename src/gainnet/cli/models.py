"""The models of pictures: `models`, `models show`."""

from __future__ import annotations

from typing import Any

import typer

from gainnet.cli.options import command
from gainnet.cli.printing import print_json, print_table


@command("models")
def models(*, as_json: bool = False) -> None:
    """List the shipped models of pictures: what each draws, and how many words it knows.

    Args:
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet models
    """
    from gainnet.models.shipped import describe_models

    found = describe_models()
    if as_json:
        return print_json({"models": found})
    rows = [{**row, "installed": row["is_there"]} for row in found]
    return print_table("Models", ("name", "domain", "num_words", "installed"), rows)


@command("show")
def show(name: str, *, as_json: bool = False) -> None:
    """Show a model: its domain, its words, its pipeline and sampler, its settings, its card.

    Args:
        name: of a shipped model, or a folder in diffusers' format.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet models show scenes
    """
    from gainnet.models.shipped import describe_model

    found = describe_model(name)
    if as_json:
        return print_json(found)
    card = found.pop("card")
    # A folder of the user's rarely states its domain and its words; what is not stated has no line.
    for key, value in ((key, value) for key, value in found.items() if value is not None):
        typer.echo(f"{key}: {_plain(value)}")
    if card is not None:
        typer.echo(f"\n{card}")
    return None


def _plain(value: Any) -> str:
    """A value for people: lists by commas, settings as `name value`."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)
