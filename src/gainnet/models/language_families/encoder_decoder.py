"""Encoder-decoders that write a text for a text: BART, T5, Pegasus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

from torch import Tensor, nn

from gainnet.models.language_families.family import cross_entropy, paired, probe_tokens, text_mistake, vocabulary_head


@final
@dataclass(frozen=True)
class EncoderDecoder:
    """A stack that reads, and one that writes while it looks at what was read (Raffel et al. 2020)."""

    name: ClassVar[str] = "encoder_decoder"
    peft_task: ClassVar[str | None] = "SEQ_2_SEQ_LM"

    def opens(self, config: Any, architecture: str) -> bool:
        return bool(getattr(config, "is_encoder_decoder", False))

    def loader(self) -> Any:
        from transformers import AutoModelForSeq2SeqLM

        return AutoModelForSeq2SeqLM

    def stacks(self, model: Any) -> tuple[nn.Module, ...]:
        # The encoder comes first: its blocks are those that the cut counts.
        return model.get_encoder(), model.get_decoder()

    head = staticmethod(vocabulary_head)

    def task(self, model: Any, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The second half of a row from the first."""
        half = rows.shape[1] // 2
        return paired(rows) or (rows[:, :half], rows[:, half:])

    def inputs(self, model: Any, given: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {
            "input_ids": given,
            "decoder_input_ids": model.prepare_decoder_input_ids_from_labels(labels=labels),
        }

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        # Virtual tokens of soft prompts stand in front and have no labels.
        return cross_entropy(logits[:, -labels.shape[1] :], labels)

    def predicted(self, labels: Tensor) -> Tensor:
        return labels

    probe = staticmethod(probe_tokens)

    def mistake(self, model: Any, rows: Tensor) -> str | None:
        given, labels = self.task(model, rows)
        return text_mistake(model, given) or text_mistake(model, labels)
