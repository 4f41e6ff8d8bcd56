"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

RandomSeed = Annotated[int, typer.Option(help="Random seed of the first picture.")]
Model = Annotated[str, typer.Option(help="scenes, a folder in diffusers' format, or a hub id in the local cache.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")]
