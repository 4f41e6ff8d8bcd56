"""Policies that were learned: a network shifts the price of energy; weights in folders, found by name or path."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from gainnet.core.errors import ModelError
from gainnet.power_control.features import FEATURES, observe
from gainnet.power_control.policies import powers_at, replanned_price
from gainnet.radio.power import Outlook

WEIGHTS, CONFIG, KIND = "actor.safetensors", "config.json", "power policy"
REACH: Final = 3.0
"""Largest shift of the logarithm of the price."""
_FOLDER = Path(__file__).parent / "pretrained"


def perceptron(num_inputs: int, width: int, num_outputs: int) -> nn.Sequential:
    """Two hidden layers; the last layer starts at zero, so that an untrained network changes nothing."""
    last = nn.Linear(width, num_outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    hidden = (nn.Linear(num_inputs, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
    return nn.Sequential(*hidden, last)


def powers_of_action(outlook: Outlook, action: Tensor) -> Tensor:
    r"""[*batch], power at the price of `MeanGain` times $e^{3 a}$: action 0 is that rule.

    Args:
        outlook: what the sender knows.
        action: [*batch], $a$ in [-1, 1]; cut to it.
    """
    price = replanned_price(outlook, torch.ones_like(outlook.snr))
    return powers_at(outlook, price.log() + REACH * action.clamp(-1, 1))


@final
@dataclass(frozen=True)
class Learned:
    """A policy whose price of energy a network gives.

    Args:
        network: [*batch, num_features] to [*batch, 1], action.
        features: names of what it sees.
    """

    network: nn.Module
    features: tuple[str, ...]

    @torch.no_grad()
    def __call__(self, outlook: Outlook) -> Tensor:
        action = self.network(observe(outlook, self.features)).squeeze(-1)
        return powers_of_action(outlook, action.to(outlook.gain.dtype))


def pretrained_names() -> list[str]:
    """The shipped policies, `ALGORITHM-TASK-TRAINING_SEED`."""
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{CONFIG}"))


def load_policy(name_or_folder: str) -> Learned:
    """The policy of that name, or of a folder that `gainnet train power-control` wrote.

    Raises:
        ModelError: there is none, or its files are damaged.

    >>> load_policy("ppo-varied-0").features[0]
    'received'
    """
    folder, config = _folder_of(name_or_folder), trained_config(name_or_folder)
    network = perceptron(len(config["features"]), config["width"], 1)
    tensors = _weights(folder / WEIGHTS, config["sha256"])
    if {k: x.shape for k, x in tensors.items()} != {k: x.shape for k, x in network.state_dict().items()}:
        raise ModelError(f"power: the weights in {folder} have other shapes than its {CONFIG}; train it again")
    if not all(bool(x.isfinite().all()) for x in tensors.values()):
        raise ModelError(f"power: {folder / WEIGHTS} has weights that are not finite; train it again")
    network.load_state_dict(tensors)
    return Learned(network.eval().requires_grad_(False), tuple(config["features"]))


def trained_config(name_or_folder: str) -> dict[str, Any]:
    """What a policy was trained on and what it reached, checked as far as it is used.

    Raises:
        ModelError: there is none or it is damaged.
    """
    path = _folder_of(name_or_folder) / CONFIG
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        kind, features, width, digest = (config[key] for key in ("kind", "features", "width", "sha256"))
        unknown = [name for name in features if name not in FEATURES]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"power: {path} is missing or damaged ({error!r}); train it again") from None
    if kind != KIND or unknown or not features:
        raise ModelError(f"power: {path} describes no power policy with known features; train it again")
    if not isinstance(width, int) or not 1 <= width <= 4096 or not isinstance(digest, str):
        raise ModelError(f"power: {path} has no width of 1 to 4096 or no sha256; train it again")
    return config


def _folder_of(name: str) -> Path:
    if "/" not in name and (_FOLDER / name / CONFIG).is_file():
        return _FOLDER / name
    folder = Path(name).expanduser()
    if not name or not folder.is_dir():
        raise ModelError(f"power: {name!r} is unknown; give a folder or one of {', '.join(pretrained_names())}")
    return folder


def _weights(path: Path, digest: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ModelError(f"power: {path} is not what its {CONFIG} was written for; train it again")
        return load(content)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"power: {path} is missing or damaged ({error}); train it again") from None
