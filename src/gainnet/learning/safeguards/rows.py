"""Gradients of single rows: those of LoRA beside the backward pass of all rows, any others by mapping over rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from gainnet.core.errors import ModelError
from gainnet.models.language import IGNORED, inputs_of, loss_of, task_of, token_losses

ROWS_AT_ONCE = 32
"""Gradients of so many rows are held side by side, which bounds the memory."""


def clipped_sum(model: Any, rows: Tensor, clip_norm: float) -> dict[str, Tensor]:
    r"""$\sum_i g_i \min(1, C / \lVert g_i \rVert)$ over rows, float64 by name; one norm over all that is trained.

    Args:
        model: whose parameters that are not locked are trained.
        rows: [num_rows, length], tokens; may be empty.
        clip_norm: $C > 0$.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    total = torch.zeros(sum(p.numel() for p in trained.values()), dtype=torch.float64)
    for some in rows.split(ROWS_AT_ONCE) if len(rows) else ():
        slopes = row_gradients(model, some)
        # The norm over all trained tensors together: clipping each by itself would need noise for each.
        flat = torch.cat([slopes[name].flatten(1) for name in trained], dim=1).double()
        # A hair below, so that rounding to a grid and in sums does not pass the norm that the noise is made for.
        shares = (clip_norm * (1 - 1e-6) / flat.norm(dim=1).clamp_min(1e-30)).clamp_max(1.0)
        total += shares @ flat
    parts = total.split([p.numel() for p in trained.values()])
    return {name: part.reshape(p.shape) for part, (name, p) in zip(parts, trained.items(), strict=True)}


def row_gradients(model: Any, rows: Tensor) -> dict[str, Tensor]:
    """[num_rows, *shape] by name, the gradient of every row's own mean loss in the parameters that are not locked.

    Args:
        model: of transformers or PEFT.
        rows: [num_rows, length], tokens.

    Raises:
        ModelError: a layer mixes rows, so that none has a gradient of its own.
    """
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    maps = {
        f"{name}.weight": module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and f"{name}.weight" in trained
    }
    return _beside_backward(model, maps, rows) if maps.keys() == trained else _mapped(model, rows)


def _mapped(model: Any, rows: Tensor) -> dict[str, Tensor]:
    """By a gradient per row: any form, at several times the cost of one backward pass."""
    values = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}

    def loss(given: dict[str, Tensor], row: Tensor) -> Tensor:
        tokens, labels = task_of(model, row[None])
        logits = functional_call(model, given, (), {**inputs_of(model, tokens, labels), "use_cache": False}).logits
        return loss_of(model, logits, labels)

    with sdpa_kernel(SDPBackend.MATH):  # the fast kernels cannot be mapped over rows
        found: dict[str, Tensor] = vmap(grad(loss), in_dims=(None, 0))(values, rows)
    return found


def _beside_backward(model: Any, maps: dict[str, nn.Linear], rows: Tensor) -> dict[str, Tensor]:
    """By one backward pass, in which every map takes its product of slopes and inputs row by row.

    The product over all rows, which a plain step takes, costs the same; so a private step costs little more.
    """
    found: dict[str, Tensor] = {}

    def keep(name: str, slopes: Tensor) -> None:
        # A map that is called twice in one pass has the sum of both.
        found[name] = found[name] + slopes if name in found else slopes

    with _rows_apart(maps, len(rows), keep):
        tokens, labels = task_of(model, rows)
        losses = token_losses(model, model(**inputs_of(model, tokens, labels), use_cache=False).logits, labels)
        wanted = (labels[:, -losses.shape[1] :] != IGNORED).sum(1).clamp_min(1)
        # The sum of the rows' means: the slope of each is then its own, whatever other rows there are.
        (losses.sum(1) / wanted).sum().backward()
    empty = {name: p.weight.new_zeros(len(rows), *p.weight.shape) for name, p in maps.items() if name not in found}
    return found | empty


@contextmanager
def _rows_apart(maps: dict[str, nn.Linear], num_rows: int, keep: Callable[[str, Tensor], None]) -> Iterator[None]:
    """While it lasts, maps hand the gradients of their rows to `keep` and none to their weights."""

    def forward(name: str, module: nn.Linear, x: Tensor) -> Tensor:
        # Mixtures of experts flatten rows and tokens into one dimension, where nobody knows whose token it was.
        if x.dim() != 3 or x.shape[0] != num_rows or module.bias is not None:
            raise ModelError(f"model: {name} does not keep rows apart; privacy of rows needs another model or form")
        product: Tensor = _Apart.apply(x, module.weight, partial(keep, name))
        return product

    for name, module in maps.items():
        # On the object, over the method of its class, and taken off again below.
        module.forward = partial(forward, name, module)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in maps.values():
            del module.__dict__["forward"]


@final
class _Apart(torch.autograd.Function):
    """x W^T of [num_rows, length, inputs], whose backward pass keeps the weight's gradient of every row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, keep: Callable[[Tensor], None]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.keep = keep
        return x @ weight.T

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        (slope,) = slopes
        ctx.keep(slope.transpose(1, 2) @ x)
        return (slope @ weight if ctx.needs_input_grad[0] else None), None, None
