"""The contract of a family of models that clients train: everything that one differs from another in."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar, Final, Protocol

import torch
from torch import Tensor, nn

IGNORED: Final = -100
"""Label of what is not predicted."""


class LanguageFamily(Hashable, Protocol):
    """How models of one kind are opened, fed, judged and cut; a class without fields.

    rows --task--> given, labels --inputs--> model --logits, labels--> losses

    A model of one's own names its family as an attribute `gainnet_family`.

    name: of the family.
    peft_task: task type of PEFT; `None` for its model of no particular task.
    """

    name: ClassVar[str]
    peft_task: ClassVar[str | None]

    def opens(self, config: Any, architecture: str) -> bool:
        """Whether it is the family of a model, by its configuration and the name of its class."""

    def loader(self) -> Any:
        """The class of transformers that opens a folder."""

    def stacks(self, model: Any) -> tuple[nn.Module, ...]:
        """Modules that hold one list of blocks each; a cut counts those of the first one."""

    def head(self, model: Any) -> nn.Module | None:
        """The module that makes logits; `None` where the model has none."""

    def task(self, model: Any, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(given [batch, ...], labels [batch, length of the labels]) of rows [batch, length] of a client."""

    def inputs(self, model: Any, given: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Arguments of a forward pass without loss, for what is given [batch, ...] and labels [batch, length]."""

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """[batch, predictions], cross-entropy in nats; 0 where ignored.

        Args:
            logits: [batch, at least the length of the labels, classes], or [batch, classes].
            labels: [batch, length], `IGNORED` where nothing is predicted.
        """

    def predicted(self, labels: Tensor) -> Tensor:
        """[batch, predictions], the labels [batch, length] that a loss is taken of."""

    def probe(self, model: Any) -> tuple[Tensor, Tensor]:
        """(given, labels), small ones that the model takes."""

    def mistake(self, model: Any, rows: Tensor) -> str | None:
        """`field: reason; remedy`, why rows [num_rows, length] do not fit the model; `None` where they do."""


def probe_tokens(model: Any) -> tuple[Tensor, Tensor]:
    """(tokens [2, 5], labels [2, 4]) of any text model."""
    # Two rows and several tokens: broadcasting cannot hide a wrong axis, and small indices exist in any vocabulary.
    tokens = torch.arange(10).reshape(2, 5) % min(7, model.config.vocab_size - 1)
    return tokens, tokens[:, :4] + 1


def paired(rows: Tensor) -> tuple[Tensor, Tensor] | None:
    """(given, labels) of rows [batch, 2, length] that hold both; `None` for others."""
    return (rows[:, 0], rows[:, 1]) if rows.ndim == 3 else None


def one_stack(model: Any) -> tuple[nn.Module, ...]:
    """As `LanguageFamily.stacks`, of a model whose blocks are one list."""
    return (model.base_model,)


def vocabulary_head(model: Any) -> nn.Module | None:
    """As `LanguageFamily.head`, of a model that scores every token of its vocabulary."""
    found: nn.Module | None = model.get_output_embeddings()
    return found


def tokens_alone(model: Any, given: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """As `LanguageFamily.inputs`, of a model that reads given [batch, ...] alone, not labels [batch, length]."""
    return {"input_ids": given}


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """[batch, predictions], in nats, of logits [batch, predictions, classes] and labels [batch, predictions]."""
    flat = nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=IGNORED, reduction="none"
    )
    return flat.reshape(labels.shape)


def text_mistake(model: Any, tokens: Tensor) -> str | None:
    """As `LanguageFamily.mistake`, for tokens [num_rows, ...] as one stack of the model reads them."""
    known, largest = int(model.get_input_embeddings().weight.shape[0]), int(tokens.max())
    if largest >= known:
        beyond = f"token {largest} is beyond the {known} embeddings of the model"
        return f"texts: {beyond}; use the tokenizer that the model was trained with, or resize its embeddings"
    positions, length = num_positions(model), tokens.shape[-1]
    if positions is not None and length > positions:
        return (
            f"row_length: {length} tokens are beyond the {positions} positions of the model; give {positions} or fewer"
        )
    return None


def num_positions(model: nn.Module) -> int | None:
    """Tokens that a row of a model may have; `None` where positions are relative or rotary, and end nowhere.

    >>> from gainnet.models.language import small_decoder
    >>> num_positions(small_decoder(16, 1, 2, 40)) is None
    True
    """
    counts = [_places(module) for name, module in model.named_modules() if _is_position_table(name, module)]
    return min(counts, default=None)


def _is_position_table(name: str, module: nn.Module) -> bool:
    last = name.rpartition(".")[2]
    # T5 has an embedding of distances, named as a bias, that is clipped and never ends.
    return isinstance(module, nn.Embedding) and ("position" in last or last == "wpe")


def _places(table: nn.Embedding) -> int:
    # OPT and BART leave the first rows of the table out; RoBERTa counts from the padding on.
    skipped = 0 if table.padding_idx is None else table.padding_idx + 1
    return table.num_embeddings - int(getattr(table, "offset", skipped))
