"""Training the emoji model from nothing: pictures, autoencoder, text encoder, latents, denoiser."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

import torch
from torch import Tensor, nn

from gainnet.core.files import check_outside_package
from gainnet.core.precision import half_precision
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.run.loop import silent
from gainnet.models.autoencoder import SceneAutoencoder
from gainnet.models.emoji.album import Album
from gainnet.models.emoji.captions import Wording, wordings
from gainnet.models.emoji.names import outside_denoiser
from gainnet.models.emoji.synonyms import read_synonyms
from gainnet.models.emoji.words import build_tokenizer, caption_words
from gainnet.training.denoiser import NAME, adamw, denoiser_stage
from gainnet.training.emoji_autoencoder import AutoencoderSteps, train_emoji_autoencoder
from gainnet.training.emoji_figures import FILE, figures_of, read_figures, with_figures
from gainnet.training.emoji_folder import emoji_files
from gainnet.training.emoji_networks import (
    NUM_COMPONENTS,
    build_emoji_denoiser,
    emoji_examples,
    even_items,
    principal_components,
    text_stage,
)
from gainnet.training.export import assembled, write_pipeline
from gainnet.training.loop import CHECKPOINT, Progress, Training, last_average, open_training
from gainnet.training.precision import round_to_bfloat16
from gainnet.training.text_encoder import build_text_encoder

if TYPE_CHECKING:
    from transformers import CLIPTextModel, PreTrainedTokenizerBase

GENERATION = {"num_inference_steps": 10, "guidance_scale": 3.0, "height": 128, "width": 128}
RANDOM_SEED = 2027
"""The random seed of the shipped weights."""
LATENTS_PER_CHUNK = 64
PLAIN_REPEATS, TONED_REPEATS = 2, 1
"""How often a picture comes in a round: what a person looks like is also learned from its other tones."""
PEAK_RATES = (1e-3, 5e-4)
"""Of the denoiser, and of the text encoder, which is pre-trained."""


@final
@dataclass(frozen=True)
class EmojiSteps:
    """How long each stage trains, on how much, and how large its network is.

    Args:
        autoencoder: of the first stages.
        text_encoder: steps of the text encoder's pre-training.
        text_encoder_batch_size: captions per step of it.
        text_encoder_layers: its layers.
        hidden_size: width of its tokens, a multiple of 32.
        denoiser: steps over which the denoiser's learning rates fall.
        denoiser_stop: steps of the denoiser after which it ends, although its figures still rise a little.
        denoiser_batch_size: latents per step of it.
        denoiser_channels: widths at 8, 4, 2 latents wide, multiples of 8.
        checkpoint_every: steps between checkpoints.
    """

    autoencoder: AutoencoderSteps = field(default_factory=AutoencoderSteps)
    text_encoder: int = 2500
    text_encoder_batch_size: int = 128
    text_encoder_layers: int = 2
    hidden_size: int = 192
    denoiser: int = 48000
    denoiser_stop: int = 35200
    denoiser_batch_size: int = 32
    denoiser_channels: tuple[int, ...] = (96, 128, 192)
    checkpoint_every: int = 400


PRESETS = {
    "default": EmojiSteps(),
    "tiny": EmojiSteps(
        autoencoder=AutoencoderSteps(joint=4, decoder=2, batch_size=2, checkpoint_every=3),
        text_encoder=4,
        text_encoder_batch_size=4,
        text_encoder_layers=1,
        hidden_size=32,
        denoiser=8,
        denoiser_stop=6,
        denoiser_batch_size=2,
        denoiser_channels=(16, 16, 16),
        checkpoint_every=3,
    ),
}
"""Name -> how much training: `default` makes the weights that are shipped, `tiny` only shows that everything runs."""


@final
@dataclass(frozen=True, eq=False)
class Run:
    """One training of text encoder and denoiser.

    Args:
        training: its checkpoints.
        autoencoder: frozen.
        album: all pictures.
        wordings: what each may be called.
        latents: [n, 32, 8, 8], of each, in half precision.
        steps: how much training.
        random_seed: of data, weights and noise.
        torch_device: where to train.
    """

    training: Training
    autoencoder: SceneAutoencoder
    album: Album
    wordings: Sequence[Wording]
    latents: Tensor
    steps: EmojiSteps
    random_seed: int
    torch_device: torch.device

    @property
    def repeats(self) -> list[int]:
        """Of every picture, how often it comes in a round; compositions that are held out never do."""
        often = [TONED_REPEATS if shown.tones else PLAIN_REPEATS for shown in self.album.shown]
        return [0 if outside_denoiser(shown) else n for shown, n in zip(self.album.shown, often, strict=True)]

    def text_encoder(self, tokenizer: PreTrainedTokenizerBase) -> CLIPTextModel:
        """The pre-trained text encoder."""
        steps, seed = self.steps, self.random_seed
        encoder = build_text_encoder(tokenizer, seed, steps.hidden_size, steps.text_encoder_layers)
        components = principal_components(self.latents, NUM_COMPONENTS)
        items = even_items(self.repeats, steps.text_encoder_batch_size, seed, "emoji text")
        material = components, self.wordings, items
        stage = text_stage(encoder, tokenizer, *material, seed, steps.text_encoder, self.torch_device)
        self.training.train(stage, fingerprint({"latents": self.latents}))
        return encoder

    def denoiser(self, text_encoder: CLIPTextModel, tokenizer: PreTrainedTokenizerBase) -> nn.Module:
        """The trained denoiser; the text encoder is tuned along with it."""
        steps, seed = self.steps, self.random_seed
        denoiser = build_emoji_denoiser(seed, steps.denoiser_channels, steps.hidden_size).to(self.torch_device)
        items = even_items(self.repeats, steps.denoiser_batch_size, seed, NAME)
        examples = emoji_examples(self.latents, self.wordings, items)
        # Muon, which the autoencoder gains much from, did no better here for as many samples, at a third more time.
        parts = denoiser, cast(nn.Module, text_encoder)
        optimizers = tuple(zip(adamw(parts, PEAK_RATES), PEAK_RATES, strict=True))
        networks = denoiser, text_encoder, tokenizer, examples, optimizers
        stage = replace(denoiser_stage(*networks, seed, steps.denoiser, self.torch_device), stop=steps.denoiser_stop)
        watched = with_figures(self.training.progress, self.figures, lambda: self._take_figures(tokenizer))
        replace(self.training, progress=watched).train(stage, fingerprint({"latents": self.latents}))
        return denoiser

    @property
    def figures(self) -> Path:
        """File of the figures that were taken on the way."""
        return self.training.folder / FILE

    def _take_figures(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        """Of the averaged weights in the last checkpoint; networks of their own leave the training as it is."""
        steps, seed = self.steps, self.random_seed
        denoiser = build_emoji_denoiser(seed, steps.denoiser_channels, steps.hidden_size)
        encoder = build_text_encoder(tokenizer, seed, steps.hidden_size, steps.text_encoder_layers)
        parts = nn.ModuleDict({"denoiser": denoiser, "text_encoder": cast(nn.Module, encoder)})
        cpu_s, average = last_average(self.training.folder / NAME / CHECKPOINT)
        parts.load_state_dict(average)
        parts.eval()
        pipeline = assembled(copy.deepcopy(self.autoencoder).cpu(), encoder, tokenizer, denoiser)
        pipeline.set_progress_bar_config(disable=True)
        taken = figures_of(pipeline, self.album, self.wordings, self.latents, GENERATION)
        return {"cpu_s": round(cpu_s), **taken}


@torch.no_grad()
def encode(autoencoder: SceneAutoencoder, album: Album, torch_device: torch.device) -> Tensor:
    """[n, 32, 8, 8], latents of all pictures; half precision, whose rounding is far below the noise of training."""
    chunks = []
    for chunk in album.pictures.split(LATENTS_PER_CHUNK):
        with half_precision(torch_device):
            latents = autoencoder.encoder(chunk.to(torch_device).float() / 127.5 - 1)
        chunks.append(latents.half().cpu())
    return torch.cat(chunks)


def read_emoji(source: Path, out: Path, progress: Progress = silent) -> tuple[Album, tuple[Wording, ...]]:
    """All pictures, drawn once and kept in `out/album.safetensors`, and what each may be called.

    Args:
        source: folder with `icons.json`, `chars.json` and `annotations.json`, see `models.emoji.source` and `synonyms`.
        out: outside of the package.
        progress: receives ("pictures", drawings made, drawings in all, 0).

    Raises:
        ConfigError: the source is not the known one, or `out` cannot be written.
        MissingExtraError: resvg-py is not installed.
    """
    check_outside_package(out)
    # Before anything is drawn: a wrong folder is refused at once.
    synonyms = read_synonyms(source)
    album = Album.kept(out / "album.safetensors", source, lambda drawn, total: progress("pictures", drawn, total, 0.0))
    return album, wordings(album.names, synonyms)


def train_emoji(
    album: Album,
    wordings: Sequence[Wording],
    out: Path,
    random_seed: int = RANDOM_SEED,
    steps: EmojiSteps = PRESETS["default"],
    progress: Progress = silent,
    torch_device: torch.device | None = None,
) -> Path:
    """The folder of an emoji model trained from pictures and their wordings: `out/emoji`.

        pictures -> autoencoder -> latents -> text encoder
                                      '------------'-------> denoiser

    Every stage keeps a checkpoint; started again after a kill it goes on from there and ends with the same weights, as
    all randomness comes from (random seed, stage, step).

    Args:
        album: all pictures.
        wordings: what each may be called.
        out: where everything is written; outside of the package.
        random_seed: of data, weights and noise.
        steps: how much training, see `PRESETS`.
        progress: receives (stage, steps taken, steps in all, mean loss).
        torch_device: where to train; None takes a GPU where there is one.

    Raises:
        ConfigError: `out` lies in the package or holds another run.
    """
    device = torch_device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    first = train_emoji_autoencoder(album, out / "autoencoder", random_seed, steps.autoencoder, progress, device)
    settings = {"random_seed": random_seed, "steps": asdict(steps), "album_sha256": album.sha256}
    with open_training(out / "denoiser", out / "denoiser", settings, steps.checkpoint_every, progress) as training:
        tokenizer = build_tokenizer(caption_words(wordings))
        latents = encode(first.model, album, device)
        run = Run(training, first.model, album, wordings, latents, steps, random_seed, device)
        text_encoder = run.text_encoder(tokenizer)
        denoiser = run.denoiser(text_encoder, tokenizer)
        # The package has to stay small, and the last bits of half precision were noise to a training in bfloat16.
        round_to_bfloat16(denoiser)
        cpu_s = {name: round(seconds) for name, seconds in {**first.cpu_s, **training.cpu_s}.items()}
        trained = {**training.settings, "psnr_db": first.psnr_db, "cpu_s": cpu_s}
        networks = first.model, text_encoder, tokenizer, denoiser
        files = emoji_files(album, wordings, latents, trained, read_figures(run.figures), networks)
        return write_pipeline(*networks, "emoji", GENERATION, trained, out / "emoji", files)
