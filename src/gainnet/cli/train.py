"""Training: `train scenes | seed-basis | language`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gainnet.cli.options import Model, RandomSeed
from gainnet.cli.printing import progress, training_progress
from gainnet.core.errors import ConfigError

app = typer.Typer(help="Train what the package ships, into a folder of yours.", no_args_is_help=True)


class Preset(StrEnum):
    """How thoroughly a model is trained."""

    default = "default"
    tiny = "tiny"


@app.command("scenes")
def train_scenes(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and weights.")],
    preset: Annotated[
        Preset, typer.Option(help="default makes the shipped weights, tiny tries the code.")
    ] = Preset.default,
    random_seed: Annotated[int, typer.Option(help="Of data, weights and noise.")] = 2026,
    hold_out: Annotated[
        list[str] | None,
        typer.Option(help="A pair that the denoiser never sees, e.g. 'red star'; give it again for more."),
    ] = None,
    torch_device: Annotated[str | None, typer.Option(help="Where to train; a GPU where there is one.")] = None,
) -> None:
    """Train the scenes model: data, autoencoder, text encoder, denoiser, classifier. Goes on where it was stopped."""
    pairs = [_words(pair) for pair in hold_out or []]
    from gainnet.models.loading import torch_device_of
    from gainnet.training.scenes import PRESETS
    from gainnet.training.scenes import train_scenes as train

    device = None if torch_device is None else torch_device_of(torch_device)
    with training_progress() as tell:
        typer.echo(train(out, random_seed, PRESETS[preset.value], pairs, tell, device))


@app.command("seed-basis")
def train_seed_basis(
    out: Annotated[Path, typer.Option(help="Folder for the weights.")],
    model: Model = "scenes",
    num_latents: Annotated[int, typer.Option(help="Latents that the denoiser makes.")] = 2000,
    random_seed: RandomSeed = 0,
) -> None:
    """Learn the principal components of a model's latents, for the linear and the digital seed codec."""
    from gainnet.training.seed_basis import train_seed_basis as train

    with progress("seed-basis") as tell:
        num_renders = 12000 if model == "scenes" else 0
        train(model, out, num_latents, num_renders, random_seed, progress=lambda n, total: tell(n, total, "latents"))
    typer.echo(out)


@app.command("language")
def train_language(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and model.")],
    preset: Annotated[
        Preset, typer.Option(help="default makes the shipped weights, tiny tries the code.")
    ] = Preset.default,
    random_seed: Annotated[int, typer.Option(help="Of text, weights and mini-batches.")] = 0,
) -> None:
    """Train the small language model on public text. Goes on where it was stopped."""
    from gainnet.training.language import PRESETS
    from gainnet.training.language import train_language as train

    with training_progress() as tell:
        trained = train(out, random_seed, PRESETS[preset.value], tell)
    typer.echo(f"{out}: {trained['test_loss']} nats per token")


def _words(pair: str) -> tuple[str, str]:
    colour, _, shape = pair.partition(" ")
    if not (colour and shape):
        raise ConfigError(f"hold_out: {pair!r} is not a colour and a shape; write for example --hold-out 'red star'")
    return colour, shape
