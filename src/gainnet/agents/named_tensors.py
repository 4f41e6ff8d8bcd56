"""Optimizers and modules as named tensors, for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.optim import Optimizer

OPTIMIZER = "optimizer"


def strip_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix and a dot, without these.

    >>> import torch
    >>> sorted(strip_prefix("a", {"a.x": torch.ones(1), "ab.x": torch.ones(1), "a.y.z": torch.ones(1)}))
    ['x', 'y.z']
    """
    return {name.removeprefix(f"{prefix}."): x for name, x in tensors.items() if name.startswith(f"{prefix}.")}


def add_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors with a prefix and a dot before their names, the inverse of `strip_prefix`."""
    return {f"{prefix}.{name}": x.detach().clone() for name, x in tensors.items()}


def optimizer_tensors(optimizer: Optimizer, prefix: str = OPTIMIZER) -> dict[str, Tensor]:
    """Copies of the state of an optimizer, as `prefix.PARAMETER.NAME`."""
    states = optimizer.state_dict()["state"]
    return add_prefix(prefix, {f"{index}.{name}": x for index, state in states.items() for name, x in state.items()})


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], prefix: str = OPTIMIZER) -> None:
    """Restores `optimizer_tensors`; tensors of other prefixes are ignored.

    Raises:
        KeyError: a state is of no parameter of the optimizer.
    """
    states: dict[int, dict[str, Tensor]] = {}
    for name, x in strip_prefix(prefix, tensors).items():
        index, key = name.split(".")
        states.setdefault(int(index), {})[key] = x
    # Groups stay as they are: learning rates follow from the step, and are set before each.
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
