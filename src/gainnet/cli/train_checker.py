"""Training: `train checker`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gainnet.cli.printing import training_progress
from gainnet.cli.train import Preset, app


@app.command("checker")
def train_checker(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and weights.")],
    preset: Annotated[
        Preset, typer.Option(help="default makes the shipped weights, tiny tries the code.")
    ] = Preset.default,
    random_seed: Annotated[int, typer.Option(help="Of data, weights and noise.")] = 4711,
) -> None:
    """Train what an edge checks its pictures with before it sends one. Goes on where it was stopped."""
    from gainnet.training.checker import PRESETS
    from gainnet.training.checker import train_checker as train

    with training_progress() as tell:
        typer.echo(train(out, random_seed, PRESETS[preset.value], tell))
