"""Training: `train transform-seed`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gainnet.cli.options import Model
from gainnet.cli.printing import training_progress
from gainnet.cli.train import Preset, app


@app.command("transform-seed")
def train_transform_seed(
    out: Annotated[Path, typer.Option(help="Folder for latents, checkpoints and weights.")],
    model: Model = "scenes",
    preset: Annotated[
        Preset, typer.Option(help="default makes the shipped weights, tiny tries the code.")
    ] = Preset.default,
    random_seed: Annotated[int, typer.Option(help="Of weights, batches, qualities and noise.")] = 0,
) -> None:
    """Learn to code a model's latents in few bytes: transform and entropy model. Goes on where it was stopped."""
    from gainnet.training.transform_seed import PRESETS
    from gainnet.training.transform_seed import train_transform_seed as train

    with training_progress() as tell:
        train(model, out, PRESETS[preset.value], random_seed, tell)
    typer.echo(out)
