"""Policies that were learned: weights in folders, found by name or path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

from gainnet.agents.policy_folder import PolicyFolders
from gainnet.core.errors import ModelError
from gainnet.core.randomness import Random
from gainnet.core.weights import CONFIG
from gainnet.orchestration.association import Association
from gainnet.orchestration.features import NAMES, Observation
from gainnet.orchestration.graph import Graph
from gainnet.orchestration.network import PairNetwork

FOLDERS = PolicyFolders(Path(__file__).parent / "pretrained", "policy", "", "train orchestration")


@final
@dataclass(frozen=True)
class Learned:
    """A policy whose scores a network gives: every client takes the model with the largest one.

    Args:
        network: scores of pairs.
    """

    network: PairNetwork

    @torch.no_grad()
    def __call__(self, graph: Graph, random: Random) -> Association:
        return Association(self.network(Observation.of(graph).features).argmax(-1))


def pretrained_names() -> list[str]:
    """The shipped policies, `SCENARIO-TRAINING_SEED`.

    >>> "coupled-0" in pretrained_names()
    True
    """
    return FOLDERS.names()


def load_policy(name_or_folder: str) -> Learned:
    """The policy of that name (a scenario's name alone is its first training seed), or of a folder.

    Raises:
        ModelError: there is none, or its files are damaged or of other features.

    >>> load_policy("coupled").network.first.in_features
    20
    """
    folder, config = _read(name_or_folder)
    network = PairNetwork(len(NAMES), config["width"], 1.0)
    FOLDERS.form.load_into(network, folder, config["sha256"])
    return Learned(network.eval().requires_grad_(False))


def trained_config(name_or_folder: str) -> dict[str, Any]:
    """How a policy was trained and the metrics it reached, checked as far as it is used.

    Raises:
        ModelError: there is none or it is damaged.
    """
    return _read(name_or_folder)[1]


def _read(name_or_folder: str) -> tuple[Path, dict[str, Any]]:
    folder, config = FOLDERS.read(name_or_folder)
    if config["features"] != list(NAMES):
        count = f"{len(config['features'])} features that are not the {len(NAMES)} known ones"
        raise ModelError(f"policy: {folder / CONFIG} has {count}; train it again")
    return folder, config
