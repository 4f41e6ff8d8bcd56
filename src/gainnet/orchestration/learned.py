"""Policies that were learned: weights in folders, found by name or path."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from gainnet.core.errors import ModelError
from gainnet.core.randomness import Random
from gainnet.orchestration.association import Association
from gainnet.orchestration.features import NAMES, Sight
from gainnet.orchestration.graph import Graph
from gainnet.orchestration.network import PairNetwork

WEIGHTS, CONFIG = "actor.safetensors", "config.json"
_FOLDER = Path(__file__).parent / "pretrained"


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
        return Association(self.network(Sight.of(graph).features).argmax(-1))


def pretrained_names() -> list[str]:
    """The shipped policies, `SCENARIO-TRAINING_SEED`.

    >>> "coupled-0" in pretrained_names()
    True
    """
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{CONFIG}"))


def load_policy(name_or_folder: str) -> Learned:
    """The policy of that name (a scenario's name alone is its first training seed), or of a folder.

    Raises:
        ModelError: there is none, or its files are damaged or of other features.

    >>> load_policy("coupled").network.first.in_features
    20
    """
    folder = _folder_of(name_or_folder)
    config = trained_config(name_or_folder)
    network = PairNetwork(len(NAMES), config["width"], 1.0)
    tensors = _weights(folder / WEIGHTS, config["sha256"])
    expected = {name: x.shape for name, x in network.state_dict().items()}
    if {name: x.shape for name, x in tensors.items()} != expected:
        raise ModelError(f"policy: the weights in {folder} have other shapes than its {CONFIG}; train it again")
    if not all(bool(x.isfinite().all()) for x in tensors.values()):
        raise ModelError(f"policy: {folder / WEIGHTS} has weights that are not finite; train it again")
    network.load_state_dict(tensors)
    return Learned(network.eval().requires_grad_(False))


def trained_config(name_or_folder: str) -> dict[str, Any]:
    """What a policy was trained on and what it reached, checked as far as it is used.

    Raises:
        ModelError: there is none or it is damaged.
    """
    folder = _folder_of(name_or_folder)
    path = folder / CONFIG
    if lacking := [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]:
        raise ModelError(
            f"policy: {' and '.join(lacking)} missing in {folder}; give a folder that train orchestration wrote"
        )
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        features, width, digest = config["features"], config["width"], config["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"policy: {path} is missing or damaged ({error!r}); train it again") from None
    if features != list(NAMES):
        known = len(features) if isinstance(features, list) else 0
        raise ModelError(
            f"policy: {path} has {known} features that are not the {len(NAMES)} known ones; train it again"
        )
    if not isinstance(width, int) or not 1 <= width <= 4096 or not isinstance(digest, str):
        raise ModelError(f"policy: {path} has no width of 1 to 4096 or no sha256; train it again")
    return config


def _folder_of(name: str) -> Path:
    shipped = _FOLDER / (name if (_FOLDER / name / CONFIG).is_file() else f"{name}-0")
    if "/" not in name and (shipped / CONFIG).is_file():
        return shipped
    folder = Path(name).expanduser()
    if not name or not folder.is_dir():
        raise ModelError(f"policy: {name!r} is unknown; give a folder or one of {', '.join(pretrained_names())}")
    return folder


def _weights(path: Path, digest: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ModelError(f"policy: {path} is not what its {CONFIG} was written for; train it again")
        return load(content)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"policy: {path} is missing or damaged ({error}); train it again") from None
