"""Training: `train summaries`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gainnet.cli.options import RandomSeed
from gainnet.cli.printing import training_progress
from gainnet.cli.train import Preset, app


@app.command("summaries")
def train_summaries(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and both models.")],
    preset: Annotated[
        Preset, typer.Option(help="default makes the shipped weights, tiny tries the code.")
    ] = Preset.default,
    random_seed: RandomSeed = 0,
) -> None:
    """Train the edge-end model and the cloud that write conclusions of trials. Goes on where it was stopped."""
    from gainnet.training.summaries import PRESETS
    from gainnet.training.summaries import train_summaries as train

    with training_progress() as tell:
        trained = train(out, random_seed, PRESETS[preset.value], tell)
    typer.echo(f"{out}: {trained['num_parameters']} parameters after {trained['cpu_s']} s of processor time")
