"""What a training that was stopped goes on from: optimizers as named tensors, and files that hold a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from gainnet.core.errors import ConfigError

OPTIMIZER = "optimizer"


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix and a dot, without these.

    >>> import torch
    >>> sorted(below("a", {"a.x": torch.ones(1), "ab.x": torch.ones(1), "a.y.z": torch.ones(1)}))
    ['x', 'y.z']
    """
    return {name.removeprefix(f"{prefix}."): x for name, x in tensors.items() if name.startswith(f"{prefix}.")}


def optimizer_tensors(optimizer: Optimizer, prefix: str = OPTIMIZER) -> dict[str, Tensor]:
    """The state of an optimizer, as `prefix.PARAMETER.NAME`."""
    states = optimizer.state_dict()["state"]
    return {f"{prefix}.{index}.{name}": x for index, state in states.items() for name, x in state.items()}


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], prefix: str = OPTIMIZER) -> None:
    """Goes on from `optimizer_tensors`; names of others are passed over."""
    states: dict[int, dict[str, Tensor]] = {}
    for name, x in below(prefix, tensors).items():
        index, key = name.split(".")
        states.setdefault(int(index), {})[key] = x
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})


def read_checkpoint(path: Path, config: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a run that was stopped.

    Args:
        path: a safetensors file with the run's `config` in its metadata, as JSON.
        config: what the run has to depend on.

    Raises:
        ConfigError: the file is damaged or of a run with other numbers.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        found = json.loads(metadata["config"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"out: {path} is damaged ({error}); remove it or give another folder") from None
    if found != config:
        raise ConfigError(f"out: {path} is of a run with other numbers; give another folder, or the same numbers")
    return metadata, tensors
