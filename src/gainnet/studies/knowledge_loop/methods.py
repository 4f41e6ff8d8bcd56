"""The loop and what it is compared with where all edges have one architecture."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, final

import torch

from gainnet.core.randomness import Random
from gainnet.learning.algorithms.adapters import require_peft
from gainnet.learning.algorithms.costs import whole_step_cost
from gainnet.learning.algorithms.fedavg import FedAvg
from gainnet.learning.clients import LocalTraining
from gainnet.learning.loop import grow, merged_into, train_centrally
from gainnet.learning.runner import run_rounds
from gainnet.models.language import mean_loss
from gainnet.radio import Ideal
from gainnet.studies.knowledge_loop.question import DOMAINS, LATE, LATE_ROUNDS, KnowledgeLoopConfig
from gainnet.studies.knowledge_loop.regimes import Budget, regime_methods
from gainnet.studies.knowledge_loop.texts import Texts, cell, loop_of, num_samples
from gainnet.studies.study import Case, Method, Row
from gainnet.studies.trained import Stopwatch, trained_columns


@final
@dataclass(frozen=True, eq=False)
class Looped:
    """A loop after its last cycle.

    Args:
        row: its losses and costs.
        cloud: the foundation model that it ends with.
        bits_backhaul: between cloud and edges, over all cycles.
    """

    row: Row
    cloud: Any
    bits_backhaul: float


def open_methods(config: KnowledgeLoopConfig) -> Mapping[str, Method]:
    """The loop, and what it is compared with; raises when the library that grows models is not installed."""
    require_peft()

    # Arms of one random seed share texts, and what late edges start from is what the loop ended with.
    @cache
    def texts(random_seed: int) -> Texts:
        return Texts(config, random_seed)

    @cache
    def looped(random_seed: int) -> Looped:
        return _loop(texts(random_seed), Random.of(random_seed))

    def loop(case: Case, random: Random) -> Row:
        return looped(case.random_seed).row

    def joint(case: Case, random: Random) -> Row:
        return _joint(texts(case.random_seed), random)

    def fedavg(case: Case, random: Random) -> Row:
        return _fedavg(texts(case.random_seed), random)

    def budget(random_seed: int) -> Budget:
        found = looped(random_seed)
        return Budget(found.cloud, found.bits_backhaul)

    first: dict[str, Method] = {"loop": loop, "joint": joint, "cross_domain_fedavg": fedavg}
    return first | regime_methods(texts, budget)


def _loop(texts: Texts, random: Random) -> Looped:
    """Losses of cloud and edges in every domain per cycle, and what the evolved cloud is worth to a late edge."""
    config, cloud, watch = texts.config, copy.deepcopy(texts.model), Stopwatch()
    loop = loop_of(texts, DOMAINS)
    row: dict[str, Any] = texts.losses(cloud, "cloud_0")
    bits, experts = 0.0, dict[Any, Any]()
    for cycle in range(1, config.cycles + 1):
        after, experts, report = loop.cycle(cloud, random.child("cycle", cycle))
        bits += report.num_bits
        row |= texts.losses(after, f"cloud_{cycle}") | texts.fell(cloud, after, f"cloud_{cycle}")
        for name, expert in experts.items():
            row[f"edge_{cycle}.{name}.loss"] = texts.losses(expert, "edge")[f"edge.{name}.loss"]
        cloud = after
    own = [row[f"edge_{config.cycles}.{name}.loss"] for name in experts]
    row["loss"] = sum(own) / len(own)
    samples, distilled = num_samples(config), config.cycles * config.distil_steps
    row |= trained_columns(
        {"cloud": cloud, **experts}, samples // config.batch_size + distilled, samples, watch.cpu_s, samples
    )
    row |= _late_losses(texts, "foundation", texts.model, random) | _late_losses(texts, "cloud", cloud, random)
    return Looped(row | {"num_bits_backhaul": bits}, cloud, bits)


def _late_losses(texts: Texts, label: str, start: Any, random: Random) -> dict[str, float]:
    """Loss of an edge of a field that never took part, from a given start, after some rounds on the same text."""
    late = loop_of(texts, (LATE,))
    found = {f"late.from_{label}.0.loss": mean_loss(start, texts.test[LATE])}
    for rounds in LATE_ROUNDS:
        # The same streams from both starts, so that the starts alone make the difference.
        adapters = grow(late.edges[0], start, late.growth, rounds, random.child("late"))
        found[f"late.from_{label}.{rounds}.loss"] = mean_loss(merged_into(start, adapters), texts.test[LATE])
    return found


def _joint(texts: Texts, random: Random) -> Row:
    """Central training on the text of all devices, with as many samples as the loop."""
    model, config, watch = copy.deepcopy(texts.model), texts.config, Stopwatch()
    rows = torch.cat([texts.rows[domain] for domain in DOMAINS])
    # As many rows as the loop sees, or else more training would pass for better training.
    samples = num_samples(config)
    train_centrally(model, rows, samples // 16, 16, config.joint_rate, random.child("joint"))
    row = dict(trained_columns({"joint": model}, samples // 16, samples // 16 * 16, watch.cpu_s, samples))
    losses = texts.losses(model, "cloud_1")
    return row | losses | texts.losses(texts.model, "cloud_0") | {"loss": sum(losses.values()) / len(losses)}


def _fedavg(texts: Texts, random: Random) -> Row:
    """FedAvg of the whole model over the devices of all domains, with as many samples as the loop."""
    config, watch = texts.config, Stopwatch()
    devices = tuple(client for domain in DOMAINS for client in texts.clients(domain))
    training = LocalTraining("adamw", config.joint_rate, config.num_steps, config.batch_size)
    cost = whole_step_cost(texts.model, texts.rows[DOMAINS[0]][: config.batch_size])
    # No air: this opponent is there for its losses, not for its costs.
    algorithm = FedAvg(copy.deepcopy(texts.model), cell(devices, Ideal()), training, cost)
    run = run_rounds(algorithm, devices, texts.test[DOMAINS[0]][:8], config.cycles * config.rounds, texts.random_seed)
    model, samples = algorithm.model_of(run.state), num_samples(config)
    row = dict(trained_columns({"fedavg": model}, samples // config.batch_size, samples, watch.cpu_s, samples))
    losses = texts.losses(model, "cloud_1")
    return row | losses | texts.losses(texts.model, "cloud_0") | {"loss": sum(losses.values()) / len(losses)}
