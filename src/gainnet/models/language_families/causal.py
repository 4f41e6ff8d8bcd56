"""Decoders that predict every next token: GPT-2, Llama, Qwen, OPT, mixtures of experts, Mamba."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

from torch import Tensor

from gainnet.models.language_families.family import (
    cross_entropy,
    one_stack,
    paired,
    probe_tokens,
    text_mistake,
    tokens_alone,
    vocabulary_head,
)


@final
@dataclass(frozen=True)
class Causal:
    """One stack of blocks, and a head over the vocabulary (Radford et al. 2019)."""

    name: ClassVar[str] = "causal"
    peft_task: ClassVar[str | None] = "CAUSAL_LM"

    def opens(self, config: Any, architecture: str) -> bool:
        # The widest family comes last, and takes whatever has a vocabulary.
        return hasattr(config, "vocab_size")

    def loader(self) -> Any:
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM

    stacks = staticmethod(one_stack)
    head = staticmethod(vocabulary_head)
    inputs = staticmethod(tokens_alone)

    def task(self, model: Any, rows: Tensor) -> tuple[Tensor, Tensor]:
        return paired(rows) or (rows, rows)

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        # Virtual tokens of soft prompts stand in front and have no labels.
        return cross_entropy(logits[:, -labels.shape[1] :][:, :-1], labels[:, 1:])

    def predicted(self, labels: Tensor) -> Tensor:
        return labels[:, 1:]

    probe = staticmethod(probe_tokens)

    def mistake(self, model: Any, rows: Tensor) -> str | None:
        return text_mistake(model, self.task(model, rows)[0])
