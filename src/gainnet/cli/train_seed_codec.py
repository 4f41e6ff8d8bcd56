"""Training: `train seed-codec`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gainnet.cli.options import Model
from gainnet.cli.printing import training_progress
from gainnet.cli.train import Preset, app


@app.command("seed-codec")
def train_seed_codec(
    out: Annotated[Path, typer.Option(help="Folder for latents, checkpoints and weights.")],
    model: Model = "scenes",
    preset: Annotated[
        Preset, typer.Option(help="default makes the shipped weights, tiny tries the code.")
    ] = Preset.default,
    random_seed: Annotated[int, typer.Option(help="Of weights, batches, channels and noise.")] = 0,
) -> None:
    """Learn to send a model's latents over the air: one codec for every size and SNR. Goes on where it was stopped."""
    from gainnet.training.seed_codec import PRESETS
    from gainnet.training.seed_codec import train_seed_codec as train

    with training_progress() as tell:
        train(model, out, PRESETS[preset.value], random_seed, tell)
    typer.echo(out)
