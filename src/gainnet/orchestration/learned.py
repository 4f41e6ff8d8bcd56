"""Policies that were learned: weights in folders, found by name or path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from gainnet.agents.policy_folder import PolicyFolders
from gainnet.core.errors import ModelError
from gainnet.core.randomness import Random
from gainnet.core.weights import CONFIG
from gainnet.orchestration.association import Association
from gainnet.orchestration.features import NAMES, Observation
from gainnet.orchestration.graph import Graph
from gainnet.orchestration.network import PairNetwork
from gainnet.orchestration.paper import PAPER_NAMES, IndexNetwork, paper_state

FOLDERS = PolicyFolders(Path(__file__).parent / "pretrained", "policy", "", "train orchestration")


FEATURES: Mapping[str, tuple[str, ...]] = {"pair": NAMES, "index": PAPER_NAMES}
"""Names of the features by the kind of network that reads them."""


def _pairs_of(graph: Graph) -> Tensor:
    return Observation.of(graph).features


@final
@dataclass(frozen=True)
class Learned:
    """A policy whose scores a network gives: every client takes the model with the largest one.

    Args:
        network: features to scores [*batch, num_clients, num_models].
        observe: the features of a round.
        num_models: that it was made for; `None` for any number.
    """

    network: Any
    observe: Callable[[Graph], Tensor] = _pairs_of
    num_models: int | None = None

    @torch.no_grad()
    def __call__(self, graph: Graph, random: Random) -> Association:
        if self.num_models not in (None, graph.num_models):
            raise ModelError(
                f"policy: it was trained for {self.num_models} models by their index, not {graph.num_models}; "
                "give a scenario with as many, or another policy"
            )
        return Association(self.network(self.observe(graph)).argmax(-1))


def learned_from(weights: Mapping[str, Tensor], kind: str, width: int, num_models: int) -> Learned:
    """The policy of an actor's weights [...] by name.

    Args:
        weights: of the network.
        kind: a key of `FEATURES`.
        width: of its hidden layers.
        num_models: that an `index` network was made for.
    """
    policy = _fresh(kind, width, num_models)
    policy.network.load_state_dict(weights)
    policy.network.eval().requires_grad_(False)
    return policy


def _fresh(kind: str, width: int, num_models: int) -> Learned:
    if kind == "index":
        return Learned(IndexNetwork(num_models, width), paper_state, num_models)
    return Learned(PairNetwork(len(NAMES), width, 1.0))


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
    policy = _fresh(config.get("network", "pair"), config["width"], config.get("num_models", 1))
    FOLDERS.form.load_into(policy.network, folder, config["sha256"])
    policy.network.eval().requires_grad_(False)
    return policy


def trained_config(name_or_folder: str) -> dict[str, Any]:
    """How a policy was trained and the metrics it reached, checked as far as it is used.

    Raises:
        ModelError: there is none or it is damaged.
    """
    return _read(name_or_folder)[1]


def _read(name_or_folder: str) -> tuple[Path, dict[str, Any]]:
    folder, config = FOLDERS.read(name_or_folder)
    known = FEATURES.get(config.get("network", "pair"), ())
    if config["features"] != list(known):
        count = f"{len(config['features'])} features that are not the {len(known)} known ones"
        raise ModelError(f"policy: {folder / CONFIG} has {count}; train it again")
    return folder, config
