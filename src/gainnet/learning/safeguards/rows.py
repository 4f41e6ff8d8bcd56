"""Gradients of single rows: those of LoRA beside the backward pass of all rows, any others by mapping over rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from gainnet.core.errors import ModelError
from gainnet.models.language import inputs_of, loss_of, task_of, token_losses
from gainnet.models.language_families import IGNORED

ROWS_AT_ONCE = 32
"""Gradients of so many rows are held side by side, which bounds the memory."""


@final
@dataclass(frozen=True, eq=False)
class Apart:
    """A model whose rows have gradients of their own in the parameters that are not locked.

    Args:
        model: of transformers or PEFT.
        trained: parameters that are not locked, by name.
        maps: those of them that are weights of linear maps without a bias, by name.
    """

    model: Any
    trained: Mapping[str, nn.Parameter]
    maps: Mapping[str, nn.Linear]

    @staticmethod
    def of(model: Any) -> Apart:
        """A model with what is not locked in it now."""
        # Walked through once and not per step: models have hundreds of modules, and small ones take milliseconds.
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        maps = {
            f"{name}.weight": module
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and f"{name}.weight" in trained
        }
        return Apart(model, trained, maps)

    def clipped_sum(self, rows: Tensor, clip_norm: float) -> dict[str, Tensor]:
        r"""$\sum_i g_i \min(1, C / \lVert g_i \rVert)$ over rows, float64 by name; one norm over all that is trained.

        Args:
            rows: [num_rows, length], tokens; may be empty.
            clip_norm: $C > 0$.
        """
        sizes = [p.numel() for p in self.trained.values()]
        total = torch.zeros(sum(sizes), dtype=torch.float64)
        for some in rows.split(ROWS_AT_ONCE) if len(rows) else ():
            slopes = self.gradients(some)
            # The norm over all trained tensors together: clipping each by itself would need noise for each.
            flat = torch.cat([slopes[name].flatten(1) for name in self.trained], dim=1).double()
            # A hair below, so that rounding to a grid and in sums does not pass the norm that the noise is made for.
            shares = (clip_norm * (1 - 1e-6) / flat.norm(dim=1).clamp_min(1e-30)).clamp_max(1.0)
            total += shares @ flat
        parts = zip(total.split(sizes), self.trained.items(), strict=True)
        return {name: part.reshape(p.shape) for part, (name, p) in parts}

    def gradients(self, rows: Tensor) -> dict[str, Tensor]:
        """[num_rows, *shape] by name, the gradient of every row's own mean loss.

        Args:
            rows: [num_rows, length], tokens.

        Raises:
            ModelError: a layer mixes rows, so that none has a gradient of its own.
        """
        if self.maps.keys() == self.trained.keys():
            return _beside_backward(self.model, self.maps, rows)
        return _mapped(self.model, self.trained, rows)


def _mapped(model: Any, trained: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    """By a gradient per row: any form, at several times the cost of one backward pass."""
    values = {name: p.detach() for name, p in trained.items()}

    def loss(given: dict[str, Tensor], row: Tensor) -> Tensor:
        tokens, labels = task_of(model, row[None])
        logits = functional_call(model, given, (), {**inputs_of(model, tokens, labels), "use_cache": False}).logits
        return loss_of(model, logits, labels)

    with sdpa_kernel(SDPBackend.MATH):  # the fast kernels cannot be mapped over rows
        found: dict[str, Tensor] = vmap(grad(loss), in_dims=(None, 0))(values, rows)
    return found


def _beside_backward(model: Any, maps: Mapping[str, nn.Linear], rows: Tensor) -> dict[str, Tensor]:
    """By one backward pass, in which every row has a copy of each map to itself.

    The copies are one tensor that is looked at once per row. Its gradient takes as many multiplications as that of the
    map in a plain step, which adds up over rows at once; so a private step costs little more.
    """
    copies = {name: module.weight.detach().expand(len(rows), -1, -1) for name, module in maps.items()}
    with _rows_apart(maps, {name: copy.requires_grad_() for name, copy in copies.items()}):
        tokens, labels = task_of(model, rows)
        losses = token_losses(model, model(**inputs_of(model, tokens, labels), use_cache=False).logits, labels)
        wanted = (labels[:, -losses.shape[1] :] != IGNORED).sum(1).clamp_min(1)
        # The sum of the rows' means: the slope of each is then its own, whatever other rows there are.
        total = (losses.sum(1) / wanted).sum()
    found = torch.autograd.grad(total, list(copies.values()), allow_unused=True)
    return {
        name: copy.new_zeros(copy.shape) if slope is None else slope
        for (name, copy), slope in zip(copies.items(), found, strict=True)
    }


@contextmanager
def _rows_apart(maps: Mapping[str, nn.Linear], copies: dict[str, Tensor]) -> Iterator[None]:
    """While it lasts, each row goes through its own copy of every map."""

    def forward(name: str, x: Tensor) -> Tensor:
        copy = copies[name]
        # Mixtures of experts flatten rows and tokens into one dimension, where nobody knows whose token it was.
        if x.dim() != 3 or len(x) != len(copy) or maps[name].bias is not None:
            raise ModelError(f"model: {name} does not keep rows apart; privacy of rows needs another model or form")
        return torch.bmm(x, copy.mT)

    for name, module in maps.items():
        # On the object, over the method of its class, and taken off again below.
        module.forward = partial(forward, name)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in maps.values():
            del module.__dict__["forward"]
