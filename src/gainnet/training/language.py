"""Training the small decoder on public text or on texts of one's own, from nothing, in minutes on one core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor
from torch.optim import AdamW

from gainnet.core.files import write_json
from gainnet.core.randomness import Random
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.run.loop import silent
from gainnet.models.language import loss_of, mean_loss, pack, save_language_model, small_decoder, word_tokenizer
from gainnet.models.language_text import DOMAINS, PUBLIC, write_texts
from gainnet.models.trials.answering import subword_tokenizer
from gainnet.training.loop import Progress, Stage, open_training

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
@dataclass(frozen=True)
class OwnTexts:
    """Texts of a user, whose words get tokens of their own.

    Args:
        train: that the model learns.
        test: that it is tested on.
        num_tokens: of the vocabulary, pairs of bytes counted in `train`.
    """

    train: Sequence[str]
    test: Sequence[str]
    num_tokens: int = 2000


def language_stage(sizes: LanguageTraining, rows: Tensor, random_seed: int, num_tokens: int | None = None) -> Stage:
    """A fresh decoder that learns rows [num_rows, length] of tokens, in mini-batches that depend on the step alone."""
    shape = (sizes.hidden_size, sizes.num_layers, sizes.num_heads)
    model = small_decoder(*shape, num_tokens, random_seed)
    random = Random.of(random_seed)

    def loss(step: int) -> Tensor:
        drawn = random.generators("batch", step)[0].integers(len(rows), size=sizes.batch_size)
        batch = rows[torch.from_numpy(drawn)]
        return loss_of(model, model(input_ids=batch).logits, batch)

    optimizers = (AdamW(model.parameters(), sizes.rate, weight_decay=0.01),)
    return Stage("language", sizes.num_steps, model, optimizers, (sizes.rate,), 0.99, loss)


def train_language(
    out: Path,
    random_seed: int = 0,
    sizes: LanguageTraining = PRESETS["default"],
    progress: Progress = silent,
    own: OwnTexts | None = None,
) -> dict[str, Any]:
    """Trains the small decoder on public text and writes a Hugging Face folder; goes on where it was stopped.

    text --> [ words ] --> rows of 72 tokens --> decoder --> folder: config, weights, tokenizer, trained.json

    Args:
        out: folder of the model; its checkpoint lies in `training` in it.
        random_seed: of text, weights and mini-batches.
        sizes: of model and training.
        progress: called after every 10 steps.
        own: texts in the place of the public ones.

    Returns:
        The content of trained.json: sizes, seconds of processor time, test losses in nats per token.

    Raises:
        ConfigError: the folder cannot be written, or was begun with other settings.
    """
    settings = {"random_seed": random_seed, **asdict(sizes)}
    with open_training(out, out / "training", settings, sizes.checkpoint_every, progress) as training:
        if own is None:
            tokenizer = word_tokenizer()
            # A short training reads few texts, and the others need not be written.
            texts = write_texts(PUBLIC, min(NUM_TEXTS, 3 * sizes.num_steps * sizes.batch_size), random_seed)
        else:
            tokenizer, texts = subword_tokenizer(own.train, own.num_tokens), list(own.train)
        rows = pack(texts, tokenizer, ROW_LENGTH)
        stage = language_stage(sizes, rows, random_seed, len(tokenizer))
        training.train(stage, fingerprint({"rows": rows}))
        trained = {
            "random_seed": random_seed,
            "sizes": asdict(sizes),
            "cpu_s": round(training.cpu_s[stage.name], 1),
            "num_parameters": sum(p.numel() for p in stage.model.parameters()),
            "test_loss": losses_on_unseen(stage.model, tokenizer, own),
        }
        save_language_model(stage.model.half(), tokenizer, out)
        write_json(out / "trained.json", trained)
        return trained


def losses_on_unseen(model: Any, tokenizer: Any, own: OwnTexts | None = None) -> dict[str, float]:
    """Nats per token on unseen public text and on unseen abstracts of every domain, or on the test of own texts."""
    if own is not None:
        return {"own": round(mean_loss(model, pack(own.test, tokenizer, ROW_LENGTH)), 4)}
    return {
        kind: round(mean_loss(model, pack(write_texts(kind, NUM_TEST_TEXTS, TEST_SEED), tokenizer, ROW_LENGTH)), 4)
        for kind in (PUBLIC, *DOMAINS)
    }
