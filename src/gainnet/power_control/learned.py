"""Policies that were learned: a network shifts the price of energy; weights in folders, found by name or path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from gainnet.agents.policy_folder import PolicyFolders
from gainnet.core.errors import ModelError
from gainnet.core.weights import CONFIG
from gainnet.power_control.features import FEATURES, observe
from gainnet.power_control.policies import powers_at, replanned_price
from gainnet.radio.power import Outlook

KIND = "power policy"
FOLDERS = PolicyFolders(Path(__file__).parent / "pretrained", "power", KIND, "train power-control")
REACH: Final = 3.0
"""Largest shift of the logarithm of the price."""


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
    # The network only corrects a rule that is good already, so that learning starts from there.
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
    return FOLDERS.names()


def load_policy(name_or_folder: str) -> Learned:
    """The policy of that name, or of a folder that `gainnet train power-control` wrote.

    Raises:
        ModelError: there is none, or its files are damaged.

    >>> load_policy("ppo-varied-0").features[0]
    'received'
    """
    folder, config = _read(name_or_folder)
    network = perceptron(len(config["features"]), config["width"], 1)
    FOLDERS.form.load_into(network, folder, config["sha256"])
    return Learned(network.eval().requires_grad_(False), tuple(config["features"]))


def trained_config(name_or_folder: str) -> dict[str, Any]:
    """How a policy was trained, checked as far as it is used.

    Raises:
        ModelError: there is none or it is damaged.
    """
    return _read(name_or_folder)[1]


def _read(name_or_folder: str) -> tuple[Path, dict[str, Any]]:
    folder, config = FOLDERS.read(name_or_folder)
    if not config["features"] or not all(name in FEATURES for name in config["features"]):
        raise ModelError(f"power: {folder / CONFIG} describes no power policy with known features; train it again")
    return folder, config
