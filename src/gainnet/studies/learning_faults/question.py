"""Settings, cases and metrics of the study learning-faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, final

from gainnet.core.types import NodeId
from gainnet.learning.clients import devices_of
from gainnet.studies.settings import Natural, NonEmpty, Seeds, one_of
from gainnet.studies.study import Case, Value

OPEN, PRIVATE = "open", "private"
METHODS: Final = (OPEN, PRIVATE)
"""Without privacy, where every state has to be that of one process; and with noise on the steps of every device."""
CLOUD: Final = NodeId("cloud")
EDGES: Final = (NodeId("edge_1"), NodeId("edge_2"))
MEMBERS: Final = {CLOUD: EDGES, EDGES[0]: devices_of(8)[:4], EDGES[1]: devices_of(8)[4:]}
"""Who is below whom."""
DEVICES: Final = devices_of(8)
ROLES: Final = ("device", "edge", "cloud")
TRAINING, SENDING, MERGING, WRITING = "training", "sending", "merging", "writing"
PHASES: Final = (TRAINING, SENDING, MERGING, WRITING)
DEATHS: Final = (
    ("device", SENDING), ("edge", MERGING), ("cloud", WRITING),
    ("device", WRITING), ("edge", SENDING), ("cloud", MERGING),
    ("device", TRAINING), ("edge", WRITING), ("cloud", SENDING),
)  # fmt: skip
"""Whose process dies in which phase, in turn."""
SIGNALS: Final = ("SIGKILL", "SIGTERM")
METRIC_NAMES: Final = (
    "kills",
    *(f"kills.{method}" for method in METHODS),
    *(f"kills.{role}" for role in ROLES),
    *(f"kills.{phase}" for phase in PHASES),
    "lost",
    "different",
    "inconsistent",
    "rounds",
)


@final
@dataclass(frozen=True)
class LearningFaultsConfig:
    """Settings of the study learning-faults.

    Args:
        random_seeds: repetitions.
        methods: without privacy, and with.
        num_kills: of each, one case each.
    """

    random_seeds: Seeds
    methods: NonEmpty[Annotated[str, one_of(METHODS)]]
    num_kills: Natural


def cases(config: LearningFaultsConfig) -> Iterator[Case]:
    """One case per kill: which process, by which signal, in which phase."""
    for random_seed in config.random_seeds:
        for method in config.methods:
            for number in range(config.num_kills):
                turn, place = divmod(number, len(DEATHS))
                role, phase = DEATHS[place]
                nodes = {"device": DEVICES, "edge": EDGES, "cloud": (CLOUD,)}[role]
                # Every process and phase meets both signals: the turn is odd and even with each of them.
                values: dict[str, Value] = {"process": nodes[turn % len(nodes)], "phase": phase, "number": number}
                values["signal"] = SIGNALS[(turn // len(nodes) + place) % len(SIGNALS)]
                yield Case(method, values, random_seed)
