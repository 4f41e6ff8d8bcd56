"""Encoders that fill masked tokens in: BERT, RoBERTa, DistilBERT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.models.language_families.family import (
    IGNORED,
    cross_entropy,
    one_stack,
    paired,
    probe_tokens,
    text_mistake,
    tokens_alone,
    vocabulary_head,
)

EVERY: Final = 7
"""One token in seven is masked: 14 %, near the 15 % of BERT."""


@final
@dataclass(frozen=True)
class Masked:
    """One stack that reads both ways, and a head over the vocabulary (Devlin et al. 2019).

    Masks are static: a row always has the same ones, as in the first BERT, so that a loss repeats. The token that
    stands for a masked one is `config.mask_token_id`, which `load_language_model` takes from the tokenizer.
    """

    name: ClassVar[str] = "masked"
    peft_task: ClassVar[str | None] = None

    def opens(self, config: Any, architecture: str) -> bool:
        return architecture.endswith("ForMaskedLM") and not getattr(config, "is_decoder", False)

    def loader(self) -> Any:
        from transformers import AutoModelForMaskedLM

        return AutoModelForMaskedLM

    stacks = staticmethod(one_stack)
    head = staticmethod(vocabulary_head)
    inputs = staticmethod(tokens_alone)

    def task(self, model: Any, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Masked tokens, and labels where they are masked."""
        if (both := paired(rows)) is not None:
            return both
        mask = getattr(model.config, "mask_token_id", None)
        if mask is None:
            raise ConfigError("model: its tokenizer has no mask token; give one that has, or a causal model")
        # By the content of the row: rows are masked at different places, and each at the same ones in every round.
        places = (torch.arange(rows.shape[1], device=rows.device) + rows.sum(1, keepdim=True)) % EVERY == 0
        return torch.where(places, mask, rows), torch.where(places, rows, IGNORED)

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits, labels)

    def predicted(self, labels: Tensor) -> Tensor:
        return labels

    def probe(self, model: Any) -> tuple[Tensor, Tensor]:
        tokens, _ = probe_tokens(model)
        return tokens, tokens

    def mistake(self, model: Any, rows: Tensor) -> str | None:
        return text_mistake(model, self.task(model, rows)[0])
