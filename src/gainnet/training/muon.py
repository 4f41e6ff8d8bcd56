"""Muon: momentum whose matrices are made orthogonal before the step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from gainnet.core.precision import has_bfloat16

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrix: Tensor, num_iterations: int = 5) -> Tensor:
    r"""[rows, columns], the nearest orthogonal matrix, roughly: singular values between about 0.7 and 1.2.

    $X \leftarrow aX + (bA + cA^2)X,\ A = XX^T$   (Jordan et al. 2024, "Muon")

    Computed in bfloat16 where the device has it, which is enough for a direction.

    Args:
        matrix: [rows, columns].
        num_iterations: Newton-Schulz iterations, at least 1.

    >>> values = torch.linalg.svdvals(orthogonalise(torch.tensor([[3.0, 1.0], [0.0, 0.2]])))
    >>> bool(((values > 0.6) & (values < 1.3)).all())
    True
    """
    a, b, c = NEWTON_SCHULZ
    # Wide matrices: the Gram matrix is then the smaller of the two possible ones.
    x: Tensor = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x.bfloat16() if has_bfloat16(matrix.device) else x
    # The iteration converges for singular values up to 1, and the Frobenius norm bounds the largest one.
    x = x / (x.norm() + 1e-7)
    for _ in range(num_iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if matrix.shape[0] > matrix.shape[1] else x).to(matrix.dtype)


class Muon(Optimizer):
    """Muon with Nesterov momentum; kernels are matrices [out, in x height x width].

    The step has the size of AdamW's: root mean square 0.2 times the rate (Liu et al. 2025, "Muon is scalable", eq. 4).

    Args:
        parameters: weights of at least two dimensions.
        lr: rate, 2e-3 to 3e-3.
        momentum: in [0, 1).
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float = 2.5e-3, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._step_one(weight, group)

    def _step_one(self, weight: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"]
        gradient = weight.grad
        assert gradient is not None
        momentum.lerp_(gradient, 1 - group["momentum"])
        # Nesterov: the gradient is moved towards the momentum that already contains it.
        update = orthogonalise(gradient.lerp(momentum, group["momentum"]).flatten(1))
        # An orthogonal matrix has entries of mean square 1 / max(shape), hence the root.
        weight.sub_(update.view_as(weight), alpha=group["lr"] * 0.2 * max(update.shape) ** 0.5)


def muon_and_adamw(model: nn.Module, adamw: Iterable[nn.Module]) -> tuple[Muon, AdamW]:
    """Muon for the kernels of a model; AdamW for its biases and for the modules named, usually first and last layers.

    Args:
        model: the network to train.
        adamw: modules of it whose weights AdamW takes too.
    """
    excluded = {id(p) for module in adamw for p in module.parameters()}
    matrices = [p for p in without(model, ()) if p.ndim > 1 and id(p) not in excluded]
    return Muon(matrices), AdamW(without(model, matrices), lr=1e-3, weight_decay=0.0)


def without(model: nn.Module, excluded: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """The parameters of a model that are trained, but for those excluded."""
    others = {id(p) for p in excluded}
    return [p for p in model.parameters() if p.requires_grad and id(p) not in others]
