"""Training the scenes model from nothing: autoencoder, text encoder, latents, denoiser, attribute classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import seeded
from gainnet.core.run.checkpoint import Checkpoint, fingerprint
from gainnet.core.run.loop import silent
from gainnet.models.attributes import AttributeClassifier
from gainnet.models.autoencoder import SceneAutoencoder
from gainnet.models.scenes import (
    COLOURS,
    SHAPES,
    Pair,
    Scenes,
    build_tokenizer,
    draw_scenes,
    has_pair,
    render,
    stream,
)
from gainnet.training.attributes import MAX_LATENT_NOISE, attribute_stage, blur_and_noise
from gainnet.training.autoencoder import autoencoder_stage, decoder_stage, scene_pictures
from gainnet.training.denoiser import PEAK_RATES, adamw, build_denoiser, captions_seen, denoiser_stage, scene_examples
from gainnet.training.export import GENERATION, write_classifier, write_pipeline
from gainnet.training.loop import Progress, Training, open_training
from gainnet.training.text_encoder import build_text_encoder, text_encoder_stage

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
    """One training of the scenes model, stage after stage.

    Args:
        training: its checkpoints.
        random_seed: of data, weights and noise.
        steps: how much training.
        torch_device: where to train.
    """

    training: Training
    random_seed: int
    steps: TrainingSteps
    torch_device: torch.device

    def autoencoder(self) -> SceneAutoencoder:
        """The trained autoencoder, frozen."""
        steps, device = self.steps, self.torch_device
        with seeded(self.random_seed):
            model = SceneAutoencoder(block_out_channels=steps.autoencoder_channels)
        draw = scene_pictures(self.random_seed)
        for stage, num_steps in ((autoencoder_stage, steps.autoencoder), (decoder_stage, steps.decoder)):
            self.training.train(stage(model, draw, self.random_seed, num_steps, steps.autoencoder_batch_size, device))
        return cast(SceneAutoencoder, model.eval().requires_grad_(False))

    def text_encoder(self) -> CLIPTextModel:
        """The pre-trained text encoder."""
        steps = self.steps
        encoder = build_text_encoder(build_tokenizer(), self.random_seed, steps.hidden_size, steps.text_encoder_layers)
        size = steps.text_encoder, steps.text_encoder_batch_size
        self.training.train(text_encoder_stage(encoder, self.random_seed, *size, self.torch_device))
        return encoder

    @torch.no_grad()
    def latents(self, autoencoder: SceneAutoencoder) -> tuple[Tensor, str]:
        """[num_latents, 4, 16, 16], latents in half precision of the training scenes, kept on disk; their digest."""
        path = self.training.folder / "latents" / "latents.safetensors"
        checkpoint = Checkpoint(path, {**self.training.settings, "stage": "latents"})
        if (found := checkpoint.read()) is None:
            scenes = training_scenes(self.random_seed, self.steps.num_latents)
            chunks = []
            for start in range(0, len(scenes), LATENTS_PER_CHUNK):
                pictures = render(scenes[start : start + LATENTS_PER_CHUNK]).to(self.torch_device) * 2 - 1
                with torch.autocast(self.torch_device.type, torch.bfloat16):
                    # Half precision halves the file, and its rounding is far below the noise that is added in training.
                    chunks.append(autoencoder.encoder(pictures).half().cpu())
                self.training.progress("latents", start + len(pictures), len(scenes), 0.0)
            found = {}, {"latents": torch.cat(chunks)}
            checkpoint.write(*found)
        return found[1]["latents"], fingerprint(found[1])

    def denoiser(
        self, text_encoder: CLIPTextModel, autoencoder: SceneAutoencoder, held_out: Sequence[Pair]
    ) -> nn.Module:
        """The trained denoiser; the text encoder is tuned along with it."""
        steps = self.steps
        latents, digest = self.latents(autoencoder)
        scenes, kept = kept_scenes(self.random_seed, steps.num_latents, held_out)
        denoiser = build_denoiser(self.random_seed, steps.denoiser_channels, steps.hidden_size)
        examples = scene_examples(latents[torch.from_numpy(kept)], scenes, steps.denoiser_batch_size)
        parts = [part.to(self.torch_device) for part in (denoiser, text_encoder)]
        optimizers = tuple(zip(adamw(parts, PEAK_RATES), PEAK_RATES, strict=True))
        networks = denoiser, text_encoder, build_tokenizer(), examples, optimizers
        self.training.train(denoiser_stage(*networks, self.random_seed, steps.denoiser, self.torch_device), digest)
        return denoiser

    def classifier(self, autoencoder: SceneAutoencoder) -> AttributeClassifier:
        """The trained attribute classifier."""
        with seeded(self.random_seed):
            network = AttributeClassifier()
        parts = "attributes", network, autoencoder, blur_and_noise, MAX_LATENT_NOISE
        size = self.steps.attributes, self.steps.attributes_batch_size
        self.training.train(attribute_stage(*parts, self.random_seed, *size, self.torch_device))
        return network


def training_scenes(random_seed: int, num_scenes: int) -> Scenes:
    """The scenes whose latents the denoiser is trained on, a function of the random seed."""
    return draw_scenes(num_scenes, stream(random_seed, "latents", 0))


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
        progress: receives (stage, steps taken, steps in all, mean loss).
        torch_device: where to train; None takes a GPU where there is one.

    Raises:
        ConfigError: `out` lies in the package or holds another run, or a pair is unknown.
    """
    for colour, shape in held_out_pairs:
        if colour not in COLOURS or shape not in SHAPES:
            raise ConfigError(f"held_out_pairs: ({colour!r}, {shape!r}) must be a (colour, shape) of the scenes")
    device = torch_device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = {"random_seed": random_seed, "held_out_pairs": held_out_pairs, "steps": asdict(steps)}
    with open_training(out, out / "stages", settings, steps.checkpoint_every, progress) as training:
        run = Run(training, random_seed, steps, device)
        text_encoder, autoencoder = run.text_encoder(), run.autoencoder()
        classifier = run.classifier(autoencoder)
        denoiser = run.denoiser(text_encoder, autoencoder, held_out_pairs)
        write_classifier(classifier, out / "attributes", {})
        cpu_s = {name: round(seconds) for name, seconds in training.cpu_s.items()}
        trained = {**training.settings, "cpu_s": cpu_s}
        networks = autoencoder, text_encoder, build_tokenizer(), denoiser
        return write_pipeline(*networks, "scenes", GENERATION, trained, out / "scenes")
