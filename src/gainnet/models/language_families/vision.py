"""Transformers that name what a picture shows: ViT, DeiT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from gainnet.models.language_families.family import cross_entropy, one_stack


@final
@dataclass(frozen=True)
class Vision:
    """Patches of a picture as tokens, one stack, and a head over classes (Dosovitskiy et al. 2021).

    A row of a client is [1 + channels x height x width]: its class, and a picture as the model takes it.
    """

    name: ClassVar[str] = "vision"
    peft_task: ClassVar[str | None] = None

    def opens(self, config: Any, architecture: str) -> bool:
        return architecture.endswith("ForImageClassification")

    def loader(self) -> Any:
        from transformers import AutoModelForImageClassification

        return AutoModelForImageClassification

    stacks = staticmethod(one_stack)

    def head(self, model: Any) -> nn.Module | None:
        found: nn.Module | None = getattr(model, "classifier", None)
        return found

    def task(self, model: Any, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures [batch, channels, height, width] and classes [batch, 1]."""
        dtype = next(model.parameters()).dtype
        return rows[:, 1:].to(dtype).reshape(-1, *_shape_of(model)), rows[:, :1].long()

    def inputs(self, model: Any, given: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"pixel_values": given}

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits[:, None], labels)

    def predicted(self, labels: Tensor) -> Tensor:
        return labels

    def probe(self, model: Any) -> tuple[Tensor, Tensor]:
        shape = 2, *_shape_of(model)
        dtype = next(model.parameters()).dtype
        pictures = torch.linspace(-1, 1, int(torch.tensor(shape).prod()), dtype=dtype).reshape(shape)
        return pictures, torch.tensor([[0], [1]])

    def mistake(self, model: Any, rows: Tensor) -> str | None:
        channels, height, width = _shape_of(model)
        if rows.shape[1] != 1 + channels * height * width:
            size = f"{channels} x {height} x {width}"
            return (
                f"rows: {rows.shape[1]} values are no class and picture of {size}; give {1 + channels * height * width}"
            )
        num_classes, largest = int(model.config.num_labels), int(rows[:, 0].max())
        if largest >= num_classes:
            return f"rows: class {largest} is beyond the {num_classes} of the model; give 0 to {num_classes - 1}"
        return None


def _shape_of(model: Any) -> tuple[int, int, int]:
    """(channels, height, width) of pictures."""
    size = model.config.image_size
    height, width = (size, size) if isinstance(size, int) else size
    return int(model.config.num_channels), int(height), int(width)
