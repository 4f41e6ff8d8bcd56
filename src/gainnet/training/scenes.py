"""Training the scenes model from nothing: autoencoder, text encoder, latents, denoiser, attribute classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.files import check_outside_package, check_writable
from gainnet.models.attributes import HIDDEN, WIDTHS, AttributeClassifier
from gainnet.models.autoencoder import SceneAutoencoder
from gainnet.models.scenes import COLOURS, SHAPES, Pair, Scenes, draw_scenes, has_pair, render, stream
from gainnet.training.attributes import AttributeStage
from gainnet.training.autoencoder import AutoencoderStage, DecoderStage
from gainnet.training.denoiser import DenoiserStage, build_denoiser, captions_seen
from gainnet.training.export import write_classifier, write_pipeline
from gainnet.training.loop import CHECKPOINT, Progress, claim, cpu_seconds, save_whole, silent, train
from gainnet.training.text_encoder import TextEncoderStage, build_text_encoder

if TYPE_CHECKING:
    from torch import nn
    from transformers import CLIPTextModel

LATENTS_PER_CHUNK = 64


@final
@dataclass(frozen=True)
class TrainingSteps:
    """How long each stage trains, on how much, and how large its network is.

    Args:
        autoencoder: steps of encoder and decoder together.
        decoder: steps of the decoder alone.
        autoencoder_batch_size: pictures per step of both.
        autoencoder_channels: widths as in `SceneAutoencoder`.
        text_encoder: steps of the text encoder's pre-training.
        text_encoder_batch_size: captions per step of it.
        text_encoder_layers: its layers.
        hidden_size: width of its tokens, a multiple of 32.
        num_latents: pictures that are encoded for the denoiser, a multiple of 64.
        denoiser: steps of the denoiser.
        denoiser_batch_size: latents per step of it.
        denoiser_channels: widths at 16, 8, 4 latents wide, multiples of 8.
        attributes: steps of the attribute classifier.
        attributes_batch_size: pictures per step of it.
        checkpoint_every: steps between checkpoints.
    """

    autoencoder: int = 7000
    decoder: int = 1800
    autoencoder_batch_size: int = 8
    autoencoder_channels: tuple[int, int, int, int] = (3, 12, 64, 128)
    text_encoder: int = 1200
    text_encoder_batch_size: int = 64
    text_encoder_layers: int = 3
    hidden_size: int = 128
    num_latents: int = 65536
    denoiser: int = 8500
    denoiser_batch_size: int = 32
    denoiser_channels: tuple[int, ...] = (64, 96, 88)
    attributes: int = 2500
    attributes_batch_size: int = 32
    checkpoint_every: int = 500


RANDOM_SEED = 2026
"""The random seed of the shipped weights."""

HELD_OUT_PAIRS: tuple[Pair, ...] = (
    ("red", "star"),
    ("blue", "house"),
    ("green", "moon"),
    ("white", "boat"),
    ("pink", "tree"),
)
"""Pairs kept out when it is measured how the model composes what it never saw together; the shipped weights saw all."""

PRESETS = {
    "default": TrainingSteps(),
    "tiny": TrainingSteps(
        autoencoder=12,
        decoder=4,
        autoencoder_batch_size=2,
        autoencoder_channels=(3, 12, 8, 16),
        text_encoder=4,
        text_encoder_batch_size=4,
        text_encoder_layers=1,
        hidden_size=32,
        num_latents=64,
        denoiser=6,
        denoiser_batch_size=2,
        denoiser_channels=(16, 16, 16),
        attributes=4,
        attributes_batch_size=3,
        checkpoint_every=3,
    ),
}
"""Name -> how much training: `default` made the shipped weights, `tiny` only shows that everything runs."""


@final
@dataclass(frozen=True)
class Run:
    """One training run: where it lives and all that its result depends on."""

    out: Path
    random_seed: int
    steps: TrainingSteps
    held_out_pairs: Sequence[Pair]
    progress: Progress
    torch_device: torch.device

    @property
    def stages(self) -> Path:
        """Where the stages keep their checkpoints."""
        return self.out / "stages"

    def settings(self) -> dict[str, Any]:
        """All that the result depends on."""
        pairs = [list(pair) for pair in self.held_out_pairs]
        return {"random_seed": self.random_seed, "held_out_pairs": pairs, "steps": asdict(self.steps)}

    def cpu_s(self) -> dict[str, float]:
        """Stage -> processor time of its training."""
        return {folder.parent.name: round(cpu_seconds(folder.parent)) for folder in self.stages.glob(f"*/{CHECKPOINT}")}


def train_autoencoder(run: Run) -> SceneAutoencoder:
    """The trained autoencoder, frozen."""
    steps, device = run.steps, run.torch_device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.random_seed)
        model = SceneAutoencoder(block_out_channels=steps.autoencoder_channels)
    whole = AutoencoderStage(model, run.random_seed, steps.autoencoder, steps.autoencoder_batch_size, device)
    model.load_state_dict(train(whole, run.stages / whole.name, steps.checkpoint_every, run.progress))
    decoder = DecoderStage(model, run.random_seed, steps.decoder, steps.autoencoder_batch_size, device)
    model.decoder.load_state_dict(train(decoder, run.stages / decoder.name, steps.checkpoint_every, run.progress))
    frozen: SceneAutoencoder = model.eval().requires_grad_(False)
    return frozen


def train_text_encoder(run: Run) -> CLIPTextModel:
    """The pre-trained text encoder."""
    steps = run.steps
    encoder = build_text_encoder(run.random_seed, steps.hidden_size, steps.text_encoder_layers)
    stage = TextEncoderStage(
        encoder, run.random_seed, steps.text_encoder, steps.text_encoder_batch_size, run.torch_device
    )
    stage.model.load_state_dict(train(stage, run.stages / stage.name, steps.checkpoint_every, run.progress))
    return encoder


def training_scenes(random_seed: int, num_scenes: int) -> Scenes:
    """The scenes whose latents the denoiser sees, the same whenever they are asked for."""
    return draw_scenes(num_scenes, stream(random_seed, "latents", 0))


@torch.no_grad()
def encode_latents(run: Run, autoencoder: SceneAutoencoder) -> Tensor:
    """[num_latents, 4, 16, 16], latents in half precision of the training scenes, kept on disk."""
    path = run.stages / "latents" / "latents.safetensors"
    if path.exists():
        return load_file(path)["latents"]
    scenes = training_scenes(run.random_seed, run.steps.num_latents)
    chunks = []
    for start in range(0, len(scenes), LATENTS_PER_CHUNK):
        pictures = render(scenes[start : start + LATENTS_PER_CHUNK]).to(run.torch_device) * 2 - 1
        with torch.autocast(run.torch_device.type, torch.bfloat16):
            chunks.append(autoencoder.encoder(pictures).half().cpu())
        run.progress("latents", start + len(pictures), len(scenes), 0.0)
    latents = torch.cat(chunks)
    save_whole({"latents": latents}, path)
    return latents


def kept_scenes(random_seed: int, num_scenes: int, held_out_pairs: Sequence[Pair]) -> tuple[Scenes, np.ndarray]:
    """The training scenes without held-out pairs, and which of all they are."""
    scenes = training_scenes(random_seed, num_scenes)
    kept = np.flatnonzero(~has_pair(scenes, held_out_pairs).any(1))
    return scenes[kept], kept


def training_captions(settings: Mapping[str, Any]) -> set[str]:
    """All captions that the training of a denoiser saw.

    Args:
        settings: `random_seed`, `steps` and `held_out_pairs` as in a model folder's `trained.json`.
    """
    random_seed, steps = settings["random_seed"], settings["steps"]
    scenes, _ = kept_scenes(random_seed, steps["num_latents"], settings["held_out_pairs"])
    return captions_seen(scenes, random_seed, steps["denoiser"], steps["denoiser_batch_size"])


def train_denoiser(run: Run, text_encoder: CLIPTextModel, latents: Tensor) -> nn.Module:
    """The trained denoiser; the text encoder is tuned along with it."""
    steps = run.steps
    scenes, kept = kept_scenes(run.random_seed, steps.num_latents, run.held_out_pairs)
    denoiser = build_denoiser(run.random_seed, steps.denoiser_channels, steps.hidden_size)
    stage = DenoiserStage(
        denoiser,
        text_encoder,
        latents[torch.from_numpy(kept)],
        scenes,
        run.random_seed,
        steps.denoiser,
        steps.denoiser_batch_size,
        run.torch_device,
    )
    stage.model.load_state_dict(train(stage, run.stages / stage.name, steps.checkpoint_every, run.progress))
    return denoiser


def train_attributes(run: Run, autoencoder: SceneAutoencoder) -> AttributeClassifier:
    """The trained attribute classifier."""
    steps = run.steps
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.random_seed)
        classifier = AttributeClassifier(WIDTHS, HIDDEN)
    stage = AttributeStage(
        classifier, autoencoder, run.random_seed, steps.attributes, steps.attributes_batch_size, run.torch_device
    )
    classifier.load_state_dict(train(stage, run.stages / stage.name, steps.checkpoint_every, run.progress))
    return classifier


def _check(out: Path, random_seed: int, held_out_pairs: Sequence[Pair]) -> None:
    check_writable(out)
    if random_seed < 0:
        raise ConfigError(f"random_seed: {random_seed} is negative; give 0 or more")
    check_outside_package(out)
    for colour, shape in held_out_pairs:
        if colour not in COLOURS or shape not in SHAPES:
            raise ConfigError(f"held_out_pairs: ({colour!r}, {shape!r}) is no (colour, shape) of the scenes")


def train_scenes(
    out: Path,
    random_seed: int = RANDOM_SEED,
    steps: TrainingSteps = PRESETS["default"],
    held_out_pairs: Sequence[Pair] = (),
    progress: Progress = silent,
    torch_device: torch.device | None = None,
) -> Path:
    """The folder of a scenes model trained from nothing: `out/scenes`, with its classifier in `out/attributes`.

        pictures -> autoencoder -> latents -.
        captions -> text encoder ------------> denoiser        autoencoder -> classifier

    Every stage keeps a checkpoint in `out/stages`; started again after a kill it goes on from there and ends with the
    same weights, as all randomness comes from (random seed, stage, step).

    Args:
        out: where everything is written; outside of the package.
        random_seed: of data, weights and noise.
        steps: how much training, see `PRESETS`.
        held_out_pairs: (colour, shape) pairs that the denoiser never sees.
        progress: told (stage, steps taken, steps in all, mean loss).
        torch_device: where to train; None takes a GPU where there is one.

    Raises:
        ConfigError: `out` lies in the package or holds another run, or a pair is unknown.
    """
    _check(out, random_seed, held_out_pairs)
    device = torch_device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = Run(out, random_seed, steps, held_out_pairs, progress, device)
    refusal = f"out: {out} was begun with another random seed, steps or pairs; give an empty folder"
    claim(out / "training.json", run.settings(), refusal)
    text_encoder = train_text_encoder(run)
    autoencoder = train_autoencoder(run)
    classifier = train_attributes(run, autoencoder)
    latents = encode_latents(run, autoencoder)
    denoiser = train_denoiser(run, text_encoder, latents)
    write_classifier(classifier, out / "attributes", {})
    trained = {**run.settings(), "cpu_s": run.cpu_s()}
    return write_pipeline(autoencoder, text_encoder, denoiser, trained, out / "scenes")
