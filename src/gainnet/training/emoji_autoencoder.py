"""Training the autoencoder of the emoji model, from that of the scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor
from torch.nn import functional

from gainnet.core.files import write_folder, write_json
from gainnet.core.precision import half_precision
from gainnet.core.randomness import seeded
from gainnet.core.run.loop import silent
from gainnet.core.units import psnr_db_of_mse
from gainnet.models.autoencoder import SceneAutoencoder
from gainnet.models.emoji.album import Album
from gainnet.models.emoji.names import outside_autoencoder
from gainnet.models.scene_layers import FOLDER
from gainnet.training.autoencoder import Draw, autoencoder_stage, decoder_stage, torch_stream
from gainnet.training.loop import Progress, open_training

MAX_SHIFT = 6
"""Pixels that a picture is moved by at most; they have about as much white around them."""
TONED_RATE = 0.3
"""How often a toned picture is drawn, for one without a tone: five tones of a person differ in little."""


@final
@dataclass(frozen=True)
class AutoencoderSteps:
    """How long the autoencoder trains, and how large it is.

    Args:
        joint: steps of encoder and decoder together.
        decoder: steps of the decoder alone.
        batch_size: pictures per step.
        latent_channels: channels of its latents, a multiple of 4.
        channels: widths as in `SceneAutoencoder`.
        checkpoint_every: steps between checkpoints.
    """

    joint: int = 7000
    decoder: int = 2000
    batch_size: int = 8
    latent_channels: int = 32
    channels: tuple[int, ...] = (3, 12, 64, 128, 512)
    checkpoint_every: int = 250


def emoji_pictures(album: Album, kept: Sequence[bool], random_seed: int) -> Draw:
    """Pictures of an album, moved by a few pixels and mirrored at random.

    Args:
        album: all pictures.
        kept: of every picture, whether it is drawn.
        random_seed: of choice, shift and mirror.
    """
    rates = torch.tensor(
        [keep * (TONED_RATE if shown.tones else 1.0) for keep, shown in zip(kept, album.shown, strict=True)]
    )

    def draw(stage: str, step: int, batch_size: int) -> Tensor:
        generator = torch_stream(random_seed, stage, step)
        chosen = album.pictures[torch.multinomial(rates, batch_size, replacement=True, generator=generator)]
        shifts = torch.randint(2 * MAX_SHIFT + 1, (batch_size, 2), generator=generator).tolist()
        mirrored = torch.randint(2, (batch_size,), generator=generator).tolist()
        # White all around, so that a shift brings in what the pictures lie on.
        framed = functional.pad(chosen.float() / 127.5 - 1, (MAX_SHIFT,) * 4, value=1.0)
        size = chosen.shape[-1]
        moved = [x[:, top : top + size, left : left + size] for x, (top, left) in zip(framed, shifts, strict=True)]
        return torch.stack([x.flip(-1) if mirror else x for x, mirror in zip(moved, mirrored, strict=True)])

    return draw


def from_scenes(model: SceneAutoencoder) -> None:
    """Puts the weights of the shipped scenes autoencoder into a network with more latent channels.

    All layers are the same but for the two at the latents, where its 4 channels become the first ones.

    Args:
        model: of the same widths, otherwise with fresh weights.
    """
    shipped = cast(Any, SceneAutoencoder).from_pretrained(FOLDER, torch_dtype=torch.float32)
    pairs = zip(model.state_dict().values(), shipped.state_dict().values(), strict=True)
    with torch.no_grad():
        for own, other in pairs:
            own[tuple(slice(size) for size in other.shape)] = other


@torch.no_grad()
def reconstruction_error(model: SceneAutoencoder, pictures: Tensor, torch_device: torch.device) -> Tensor:
    """[n], mean square error of each picture after encoding and decoding, values in [0, 1].

    Args:
        model: the autoencoder.
        pictures: [n, 3, 128, 128], uint8.
        torch_device: where to compute.
    """
    errors = []
    for chunk in pictures.split(64):
        x = chunk.to(torch_device).float() / 255
        with half_precision(torch_device):
            y = model(x * 2 - 1).sample.float()
        errors.append(((y.clamp(-1, 1) + 1) / 2 - x).square().mean((1, 2, 3)).cpu())
    return torch.cat(errors)


def psnr_db(errors: Tensor) -> float:
    """PSNR of the mean error [n] of pictures in [0, 1]: the mean of their dB would hide the worst."""
    return float(psnr_db_of_mse(errors.mean()))


@final
@dataclass(frozen=True, eq=False)
class TrainedAutoencoder:
    """An autoencoder and the figures of its training.

    Args:
        model: frozen.
        psnr_db: of pictures that were `seen` and `held_out`, in dB of their mean error.
        cpu_s: processor time by stage.
    """

    model: SceneAutoencoder
    psnr_db: Mapping[str, float]
    cpu_s: Mapping[str, float]


def train_emoji_autoencoder(
    album: Album,
    out: Path,
    random_seed: int,
    steps: AutoencoderSteps,
    progress: Progress = silent,
    torch_device: torch.device | None = None,
) -> TrainedAutoencoder:
    """The trained autoencoder; it is also written to `out/vae`, and its figures to `out/trained.json`.

    One concept in ten is kept out with all its tones, which `psnr_db` is measured on. Started again after a kill it
    goes on from its last checkpoint in `out/stages`.

    Args:
        album: all pictures.
        out: where everything is written; outside of the package.
        random_seed: of data, weights and noise.
        steps: how much training.
        progress: receives (stage, steps taken, steps in all, mean loss).
        torch_device: where to train; None takes a GPU where there is one.
    """
    device = torch_device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = {"random_seed": random_seed, "steps": asdict(steps), "album_sha256": album.sha256}
    held_out = torch.tensor([outside_autoencoder(shown) for shown in album.shown])
    with open_training(out, out / "stages", settings, steps.checkpoint_every, progress) as training:
        with seeded(random_seed):
            model = SceneAutoencoder(latent_channels=steps.latent_channels, block_out_channels=steps.channels)
        from_scenes(model)
        draw = emoji_pictures(album, (~held_out).tolist(), random_seed)
        for stage, num_steps in ((autoencoder_stage, steps.joint), (decoder_stage, steps.decoder)):
            training.train(stage(model, draw, random_seed, num_steps, steps.batch_size, device))
        model.eval().requires_grad_(False)
        # An eighth of the seen ones is as many as the held-out ones.
        chosen = {"seen": album.pictures[~held_out][::8], "held_out": album.pictures[held_out]}
        figures = {name: psnr_db(reconstruction_error(model, x, device)) for name, x in chosen.items()}
        write_folder(out / "vae", lambda beside: cast(Any, model).save_pretrained(beside))
        write_json(out / "trained.json", {**training.settings, "psnr_db": figures, "cpu_s": training.cpu_s})
    return TrainedAutoencoder(model, figures, training.cpu_s)
