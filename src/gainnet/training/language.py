"""Training the small decoder on public text, from nothing, in minutes on one core."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from gainnet.core.errors import ConfigError
from gainnet.core.files import check_writable, write_whole
from gainnet.core.randomness import Random
from gainnet.models.language import loss_of, mean_loss, pack, save_language_model, small_decoder, word_tokenizer
from gainnet.models.language_text import DOMAINS, PUBLIC, write_texts
from gainnet.training.loop import Progress, claim, cpu_seconds, silent, train

ROW_LENGTH = 72
NUM_TEXTS, NUM_TEST_TEXTS = 6_000, 200
TEST_SEED = 1 << 40
"""Texts of this random seed are never trained on."""


@final
@dataclass(frozen=True)
class LanguageTraining:
    """Sizes of the model and of its training.

    Args:
        hidden_size: width of the model.
        num_layers: blocks of the model.
        num_heads: attention heads.
        num_steps: mini-batches.
        batch_size: rows of 72 tokens per mini-batch.
        rate: peak learning rate.
        checkpoint_every: steps between checkpoints.
    """

    hidden_size: int = 64
    num_layers: int = 4
    num_heads: int = 4
    num_steps: int = 4000
    batch_size: int = 8
    rate: float = 4e-3
    checkpoint_every: int = 200


PRESETS = {"default": LanguageTraining(), "tiny": LanguageTraining(16, 2, 2, 60, 8, 1e-2, 20)}


@final
class PublicText:
    """The stage of `training.loop` that learns public text."""

    name = "language"
    ema_decay = 0.99

    def __init__(self, sizes: LanguageTraining, rows: Tensor, random_seed: int) -> None:
        self._model = small_decoder(sizes.hidden_size, sizes.num_layers, sizes.num_heads, random_seed=random_seed)
        self._optimizer = AdamW(self._model.parameters(), sizes.rate, weight_decay=0.01)
        self._sizes, self._rows, self._random = sizes, rows, Random.of(random_seed)

    @property
    def num_steps(self) -> int:
        return self._sizes.num_steps

    @property
    def model(self) -> nn.Module:
        module: nn.Module = self._model
        return module

    @property
    def optimizers(self) -> Sequence[Optimizer]:
        return (self._optimizer,)

    @property
    def peak_rates(self) -> Sequence[float]:
        return (self._sizes.rate,)

    def loss(self, step: int) -> Tensor:
        """Mean cross-entropy of a mini-batch that depends on the step alone."""
        generator = self._random.generators("batch", step)[0]
        rows = self._rows[torch.from_numpy(generator.integers(len(self._rows), size=self._sizes.batch_size))]
        return loss_of(self._model, self._model(input_ids=rows).logits, rows)


def train_language(
    out: Path, random_seed: int = 0, sizes: LanguageTraining = PRESETS["default"], progress: Progress = silent
) -> dict[str, Any]:
    """Trains the small decoder on public text and writes a Hugging Face folder; goes on where it was stopped.

    public text --> [ words ] --> rows of 72 tokens --> decoder --> folder: config, weights, tokenizer, trained.json

    Args:
        out: folder of the model; its checkpoint lies in `training` in it.
        random_seed: of text, weights and mini-batches.
        sizes: of model and training.
        progress: told after every 10 steps.

    Returns:
        What is written to trained.json: sizes, seconds of processor time, test losses in nats per token.

    Raises:
        ConfigError: the folder cannot be written, or was begun with other settings.
    """
    if random_seed < 0:
        raise ConfigError(f"random_seed: {random_seed} is negative; give 0 or more")
    check_writable(out)
    refusal = f"out: {out} holds a training with other settings; give another folder"
    claim(out / "training" / "settings.json", {"random_seed": random_seed, **sizes.__dict__}, refusal)
    tokenizer = word_tokenizer()
    num_texts = min(NUM_TEXTS, 3 * sizes.num_steps * sizes.batch_size)
    rows = pack(write_texts(PUBLIC, num_texts, random_seed), tokenizer, ROW_LENGTH)
    stage = PublicText(sizes, rows, random_seed)
    averaged = train(stage, out / "training", sizes.checkpoint_every, progress)
    stage.model.load_state_dict(averaged)
    trained = {
        "random_seed": random_seed,
        "sizes": dict(sizes.__dict__),
        "cpu_s": round(cpu_seconds(out / "training"), 1),
        "num_parameters": sum(p.numel() for p in stage.model.parameters()),
        "test_loss": losses_on_unseen(stage.model, tokenizer),
    }
    save_language_model(stage.model.half(), tokenizer, out)
    write_whole(out / "trained.json", (json.dumps(trained, indent=2) + "\n").encode())
    return trained


def losses_on_unseen(model: Any, tokenizer: Any) -> dict[str, float]:
    """Nats per token on unseen public text and on unseen abstracts of every domain."""
    return {
        kind: round(mean_loss(model, pack(write_texts(kind, NUM_TEST_TEXTS, TEST_SEED), tokenizer, ROW_LENGTH)), 4)
        for kind in (PUBLIC, *DOMAINS)
    }
