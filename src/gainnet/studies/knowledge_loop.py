"""Study knowledge-loop: does knowledge go round between cloud, edges and devices, cycle after cycle?"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Annotated, Any, final

import pandas as pd
import torch
from matplotlib.figure import Figure
from pydantic import Field

from gainnet.catalog.learning import TEST_SEED, open_model
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.adapters import attach, require_peft
from gainnet.learning.algorithms.costs import whole_step_cost
from gainnet.learning.algorithms.fedavg import FedAvg
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.clients import Client, LocalTraining, cell_of, partition
from gainnet.learning.loop import Distillation, Edge, Loop, backhaul_of, grow, merged_into, train_centrally
from gainnet.learning.runner import run_rounds
from gainnet.models.language import mean_loss, pack, row_losses
from gainnet.models.language_text import PUBLIC, write_texts
from gainnet.network import profile
from gainnet.radio import Air, Arq, Ideal, Tabulated
from gainnet.studies.figures import panels
from gainnet.studies.palette import BLUE, GREEN, GREY, ORANGE, PURPLE
from gainnet.studies.settings import AirField, Count, Natural, NonEmpty, Seeds
from gainnet.studies.statistics import at, round_metrics
from gainnet.studies.study import Case, Method, Row, Study
from gainnet.studies.weights import language_digest

DOMAINS = ("cardiology", "oncology", "endocrinology")
LATE = "psychiatry"
METHODS = ("loop", "joint", "cross_domain_fedavg")
LATE_ROUNDS = (1, 5)
LATE_METRICS = {
    0: "late_edge_minus_foundation_loss",
    1: "late_edge_minus_foundation_loss_after_1_round",
    5: "late_edge_minus_foundation_loss_after_5_rounds",
}
"""An edge that joins late is judged by what it joins with; what rounds of its own leave of that stands beside it."""
METRIC_NAMES = (
    "cloud_loss_fell_share", "cloud_gap_to_joint", *LATE_METRICS.values(), "fedavg_gap_to_joint", "edge_gap_to_joint",
)  # fmt: skip


@final
@dataclass(frozen=True)
class KnowledgeLoopConfig:
    """Settings of the study knowledge-loop.

    Args:
        random_seeds: each draws texts, mini-batches and noise of its own.
        methods: loop, joint (central training on all text in one place), cross_domain_fedavg.
        cycles: of the loop.
        merge: weighted, ties or svd.
        rank: of LoRA on the edges.
        devices_per_edge: clients of every domain.
        num_texts: abstracts per domain.
        num_public_texts: texts that the cloud distils on.
        num_test_texts: per domain, never trained on.
        rounds: per edge and cycle.
        num_steps: mini-batches per client and round.
        batch_size: rows per mini-batch.
        rate: of LoRA.
        joint_rate: of central training and of FedAvg.
        distil_steps: mini-batches of public text per cycle.
        distil_rate: of the cloud.
        model: the foundation model.
        air: in every cell.
    """

    random_seeds: Seeds
    methods: NonEmpty[str]
    cycles: Count
    merge: str
    rank: Count
    devices_per_edge: Count
    num_texts: Annotated[int, Field(ge=10)]
    num_public_texts: Annotated[int, Field(ge=10)]
    num_test_texts: Annotated[int, Field(ge=10)]
    rounds: Count
    num_steps: Count
    batch_size: Count
    rate: float
    joint_rate: float
    distil_steps: Natural
    distil_rate: float
    model: str
    air: AirField = Air(bandwidth_hz=20e6)


def cases(config: KnowledgeLoopConfig) -> Iterator[Case]:
    """Every method with every random seed."""
    yield from (Case(method, {}, random_seed) for random_seed, method in product(config.random_seeds, config.methods))


def open_methods(config: KnowledgeLoopConfig) -> Mapping[str, Method]:
    """The loop, and what it is compared with; raises when the library that grows models is not installed."""
    require_peft()
    known = {"loop": _loop, "joint": _joint, "cross_domain_fedavg": _fedavg}

    def run(case: Case, random: Random) -> Row:
        return known[case.method](_Texts(config, case.random_seed), random)

    return dict.fromkeys(known, run)


class _Texts:
    """Texts, test rows and the foundation model of one random seed."""

    def __init__(self, config: KnowledgeLoopConfig, random_seed: int) -> None:
        self.config, self.random_seed = config, random_seed
        self.model, tokenizer = open_model(config.model)

        def rows(kind: str, count: int, seed: int) -> Any:
            return pack(write_texts(kind, count, seed), tokenizer, 72)

        # Seeds of training, test and public text lie apart, so that no text is in two of them.
        self.rows = {d: rows(d, config.num_texts, 100 + random_seed) for d in (*DOMAINS, LATE)}
        self.test = {d: rows(d, config.num_test_texts, TEST_SEED + random_seed) for d in (*DOMAINS, LATE)}
        self.public = rows(PUBLIC, config.num_public_texts, 200 + random_seed)

    def losses(self, model: Any, label: str) -> dict[str, float]:
        """Mean test loss of a model in every domain."""
        return {f"{label}.{domain}.loss": float(row_losses(model, self.test[domain]).mean()) for domain in DOMAINS}

    def fell(self, before: Any, after: Any, label: str) -> dict[str, float]:
        """By how many standard errors the loss fell, row by row of the same text, in every domain."""
        found = {}
        for domain in DOMAINS:
            # Differences of the same rows: texts differ far more from each other than two models on one text.
            gain = row_losses(before, self.test[domain]) - row_losses(after, self.test[domain])
            found[f"{label}.{domain}.fell_by_errors"] = float(gain.mean() / (gain.std() / len(gain) ** 0.5))
        return found

    def clients(self, domain: str) -> tuple[Client, ...]:
        """Devices of a domain, each with its part of the text."""
        count = self.config.devices_per_edge
        parts = partition([self.rows[domain]], count, float("inf"), Random.of(self.random_seed).child(domain))
        return tuple(Client(NodeId(f"{domain}_{i}"), part) for i, part in enumerate(parts))


def _loop_of(texts: _Texts, domains: tuple[str, ...]) -> Loop:
    config = texts.config
    air = (Tabulated(config.air, arq=Arq(harq="none")),)
    edges = []
    for domain in domains:
        devices = texts.clients(domain)
        cell = cell_of((c.name for c in devices), profile("edge_l4"), profile("phone"), air, air)
        edges.append(Edge(NodeId(domain), devices, cell))
    training = LocalTraining("adamw", config.rate, config.num_steps, config.batch_size)
    rows = torch.zeros(config.batch_size, 72, dtype=torch.long)
    cost = whole_step_cost(attach(copy.deepcopy(texts.model), "lora", config.rank), rows)
    growth = Fpl(texts.model, edges[0].cell, training, cost, "lora", config.rank)
    backhaul = backhaul_of([edge.name for edge in edges], profile("edge_a100"), profile("edge_l4"), Ideal())
    distillation = Distillation(config.distil_steps, 16, config.distil_rate)
    return Loop(tuple(edges), config.rounds, growth, backhaul, texts.public, config.merge, distillation)  # type: ignore[arg-type]


def _loop(texts: _Texts, random: Random) -> Row:
    """Losses of cloud and edges in every domain per cycle, and what the evolved cloud is worth to a late edge."""
    config, cloud = texts.config, copy.deepcopy(texts.model)
    loop = _loop_of(texts, DOMAINS)
    row: dict[str, Any] = texts.losses(cloud, "cloud_0")
    bits = 0.0
    for cycle in range(1, config.cycles + 1):
        after, experts, report = loop.cycle(cloud, random.child("cycle", cycle))
        bits += report.num_bits
        row |= texts.losses(after, f"cloud_{cycle}") | texts.fell(cloud, after, f"cloud_{cycle}")
        for name, expert in experts.items():
            row[f"edge_{cycle}.{name}.loss"] = texts.losses(expert, "edge")[f"edge.{name}.loss"]
        cloud = after
    row |= _late_losses(texts, "foundation", texts.model, random) | _late_losses(texts, "cloud", cloud, random)
    return row | {"num_bits_backhaul": bits}


def _late_losses(texts: _Texts, label: str, start: Any, random: Random) -> dict[str, float]:
    """Loss of an edge of a field that never took part, from a given start, after some rounds on the same text."""
    late = _loop_of(texts, (LATE,))
    found = {f"late.from_{label}.0.loss": mean_loss(start, texts.test[LATE])}
    for rounds in LATE_ROUNDS:
        # The same streams from both starts, so that the starts alone make the difference.
        adapters = grow(late.edges[0], start, late.growth, rounds, random.child("late"))
        found[f"late.from_{label}.{rounds}.loss"] = mean_loss(merged_into(start, adapters), texts.test[LATE])
    return found


def _num_samples(config: KnowledgeLoopConfig) -> int:
    """Rows that all devices of the loop train on, with repetition."""
    per_edge = config.cycles * config.rounds * config.devices_per_edge * config.num_steps * config.batch_size
    return len(DOMAINS) * per_edge


def _joint(texts: _Texts, random: Random) -> Row:
    """Central training on the text of all devices, with as many samples as the loop."""
    model, config = copy.deepcopy(texts.model), texts.config
    rows = torch.cat([texts.rows[domain] for domain in DOMAINS])
    # As many rows as the loop sees, or else more training would pass for better training.
    num_steps = _num_samples(config) // 16
    train_centrally(model, rows, num_steps, 16, config.joint_rate, random.child("joint"))
    return texts.losses(model, "cloud_1") | texts.losses(texts.model, "cloud_0")


def _fedavg(texts: _Texts, random: Random) -> Row:
    """FedAvg of the whole model over the devices of all domains, with as many samples as the loop."""
    config = texts.config
    devices = tuple(client for domain in DOMAINS for client in texts.clients(domain))
    # No air: this opponent is there for its losses, not for its costs.
    air = (Ideal(),)
    cell = cell_of((c.name for c in devices), profile("edge_l4"), profile("phone"), air, air)
    training = LocalTraining("adamw", config.joint_rate, config.num_steps, config.batch_size)
    cost = whole_step_cost(texts.model, texts.rows[DOMAINS[0]][: config.batch_size])
    algorithm = FedAvg(copy.deepcopy(texts.model), cell, training, cost)
    run = run_rounds(algorithm, devices, texts.test[DOMAINS[0]][:8], config.cycles * config.rounds, texts.random_seed)
    return texts.losses(algorithm.model_of(run.state), "cloud_1") | texts.losses(texts.model, "cloud_0")


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Shares and gaps, averaged over random seeds; a gap is excess loss over the untuned model's excess."""
    means, found = table.groupby("method").mean(numeric_only=True), dict[str, float | None]()
    if "loop" not in means.index:
        return found
    loop: Any = means.loc["loop"]
    last = _num_cycles(table)
    # Two standard errors: such a fall comes by chance about once in 40 texts.
    found["cloud_loss_fell_share"] = (at(table, method="loop").filter(like="fell_by_errors") > 2.0).to_numpy().mean()
    for rounds, name in LATE_METRICS.items():
        found[name] = loop[f"late.from_cloud.{rounds}.loss"] - loop[f"late.from_foundation.{rounds}.loss"]
    if "joint" in means.index:
        gap_of = partial(_gap, means.loc["joint"])
        found |= {f"{place}_gap_to_joint": gap_of(loop, f"{place}_{last}") for place in ("cloud", "edge")}
        if "cross_domain_fedavg" in means.index:
            found["fedavg_gap_to_joint"] = gap_of(means.loc["cross_domain_fedavg"], "cloud_1")
    return round_metrics(found, 6)


def _gap(joint: Any, of: Any, label: str) -> float:
    """Excess loss over joint training, as a share of the untuned model's excess; both summed over the domains."""
    excess = sum(of[f"{label}.{d}.loss"] - joint[f"cloud_1.{d}.loss"] for d in DOMAINS)
    untuned = sum(joint[f"cloud_0.{d}.loss"] - joint[f"cloud_1.{d}.loss"] for d in DOMAINS)
    return float(excess / untuned)


def _num_cycles(table: pd.DataFrame) -> int:
    return max(int(c.split(".")[0].removeprefix("edge_")) for c in table.columns if c.startswith("edge_"))


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Loss of cloud and edges per cycle in every domain, beside joint training and FedAvg."""
    if "loop" not in set(table["method"]):
        return
    means: Any = table.groupby("method").mean(numeric_only=True)
    last = _num_cycles(table)
    note = (
        f"means of {table['random_seed'].nunique()} random seeds; every method trains on as many rows; unseen abstracts"
    )
    figure, axes = panels(1, len(DOMAINS), "Knowledge goes round: loss per cycle", note)
    for ax, domain in zip(axes, DOMAINS, strict=True):
        loop = means.loc["loop"]
        cloud = [loop[f"cloud_{c}.{domain}.loss"] for c in range(last + 1)]
        ax.plot(range(last + 1), cloud, "o-", color=BLUE, label="cloud")
        edges = [loop[f"edge_{c}.{domain}.loss"] for c in range(1, last + 1)]
        ax.plot(range(1, last + 1), edges, "s--", color=GREEN, label="edge of this domain")
        for method, colour in (("joint", ORANGE), ("cross_domain_fedavg", PURPLE)):
            if method in means.index:
                ax.axhline(means[f"cloud_1.{domain}.loss"][method], color=colour, label=method.replace("_", " "))
        ax.axhline(cloud[0], color=GREY, linewidth=0.8, linestyle=":")
        ax.set(title=domain, xlabel="cycle", ylabel="nats per token")
    axes[0].legend(fontsize=8, frameon=False)
    yield "knowledge_loop", figure


def identity(config: KnowledgeLoopConfig) -> Mapping[str, str]:
    """sha256 of what the methods read."""
    return language_digest(config.model)


KNOWLEDGE_LOOP: Study[Any] = Study(
    "knowledge-loop", KnowledgeLoopConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw
)
