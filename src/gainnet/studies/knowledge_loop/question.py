"""Question and sweep: a loop of knowledge, and what it is compared with, in four regimes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, final

from pydantic import Field

from gainnet.radio import Air
from gainnet.studies.settings import AirField, Count, Natural, NonEmpty, Positive, Seeds
from gainnet.studies.study import Case

DOMAINS = ("cardiology", "oncology", "endocrinology")
LATE = "psychiatry"
NUM_SEEDS_OF_REGIMES = 2
ARMS = ("loop", "skip_cloud", "fedavg", "joint")
"""Adapters by way of the cloud; edges that never ask it; FedAvg with as many bits; all text in one place, the limit."""
REGIMES = ("alike", "differ", "differ_everywhere", "late")
"""Edges of one architecture in their own fields; of three, in their own fields and in all; edges that come late."""
SEPARATE = (
    "alike.skip_cloud", "alike.fedavg", *(f"{regime}.{arm}" for regime in ("differ", "late") for arm in ARMS),
)  # fmt: skip
"""Arms that are cases of their own; loop and joint of the first regime are the first two methods."""
METHODS = ("loop", "joint", "cross_domain_fedavg", *SEPARATE)
LATE_ROUNDS = (1, 5)
LATE_METRICS = {
    0: "late_edge_minus_foundation_loss",
    1: "late_edge_minus_foundation_loss_after_1_round",
    5: "late_edge_minus_foundation_loss_after_5_rounds",
}
"""An edge that joins late is judged by what it joins with; what rounds of its own leave of that stands beside it."""
METRIC_NAMES = (
    "cloud_loss_fell_share", "cloud_gap_to_joint", *LATE_METRICS.values(), "fedavg_gap_to_joint", "edge_gap_to_joint",
    *(f"loss.{regime}.{arm}" for regime in REGIMES for arm in ARMS),
    *(f"loss.{regime}.loop_minus_skip_cloud" for regime in REGIMES),
)  # fmt: skip


@final
@dataclass(frozen=True)
class KnowledgeLoopConfig:
    """Settings of the study knowledge-loop.

    Args:
        random_seeds: each draws texts, mini-batches and noise of its own.
        methods: loop, joint (central training on all text in one place), cross_domain_fedavg, and arms of regimes.
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
        foundation_steps: mini-batches of public text that teach each architecture which is not the foundation model's.
        foundation_rate: learning rate of that.
        late_texts: abstracts on the one device of an edge that comes late, to a field that the cloud has met.
        late_rounds: of such an edge.
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
    foundation_steps: Count
    foundation_rate: Positive
    late_texts: Annotated[int, Field(ge=10)]
    late_rounds: Count
    model: str
    air: AirField = Air(bandwidth_hz=20e6)


def cases(config: KnowledgeLoopConfig) -> Iterator[Case]:
    """Every method with every random seed; arms of regimes with the first two."""
    first = config.random_seeds[:NUM_SEEDS_OF_REGIMES]
    for random_seed, method in product(config.random_seeds, config.methods):
        if method not in SEPARATE or random_seed in first:
            yield Case(method, {}, random_seed)
