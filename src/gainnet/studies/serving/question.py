"""Settings, cases and metrics of the study serving."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, final

from pydantic import Field

from gainnet.studies.settings import Count, Natural, NonEmpty, Seeds, one_of
from gainnet.studies.study import Case

LOCKED: Final = "locked"
REQUEST_BATCHING: Final = "request_batching"
SINGLE: Final = "single"
BATCHED: Final = "batched"
FEW_STEPS: Final = "few_steps"
METHODS: Final = (LOCKED, REQUEST_BATCHING, SINGLE, BATCHED, FEW_STEPS)
STEADY, BURST, DEVICES = "steady", "burst", "devices"
WHEN: Final = ("mean_latency_ratio.burst", "p99_latency_ratio", "in_time_share_gain")
METRIC_NAMES: Final = (
    *(f"pictures_per_cpu_s.{method}" for method in METHODS),
    "pictures_per_cpu_s_ratio",
    "pictures_per_cpu_s_ratio.few_steps",
    "pictures_per_cpu_s_ratio.limit",
    "share.unet",
    "gflops_per_s.unet",
    "gflops_per_s.matmul",
    "ratio.runtime",
    "ratio.batching",
    "ratio.steps",
    *(name for when in WHEN for name in (when, f"{when}.ideal")),
    *(f"in_time_share.{method}" for method in (LOCKED, REQUEST_BATCHING, BATCHED)),
    "slowest_over_median",
)


@final
@dataclass(frozen=True)
class ServingConfig:
    """Settings of the study serving.

    Args:
        random_seeds: repetitions; each draws prompts, noise and arrivals of its own.
        methods: servers that are compared.
        num_pictures: of a steady load, per server and random seed.
        num_clients: that each ask for the next picture when they have one, under a steady load.
        burst_services: length of a burst in service times of the locked server; arrivals come at twice its capacity.
        num_bursts: repetitions with a burst and devices, the first ones; a burst takes as long as many steady loads.
        num_devices: devices that ask at once over WebSockets; none when 0.
        num_steps: of the sampler, for all servers.
        few_steps: of the sampler, for a model made for few; not measured when `None`.
        most_batch: rows of a pass of the edge at most; one picture with guidance has two.
        most_requests: that request-level batching takes together at most.
        core: processor core that servers are pinned to, where the system can.
    """

    random_seeds: Seeds
    methods: NonEmpty[Annotated[str, one_of(METHODS)]]
    num_pictures: Count
    num_clients: Annotated[int, Field(ge=1, le=256)]
    burst_services: Natural
    num_bursts: Natural
    num_devices: Annotated[int, Field(ge=0, le=256)]
    num_steps: Annotated[int, Field(ge=1, le=1000)]
    most_batch: Annotated[int, Field(ge=2, le=64)]
    most_requests: Annotated[int, Field(ge=1, le=32)]
    core: Natural
    few_steps: Annotated[int, Field(ge=1, le=1000)] | None = None


def cases(config: ServingConfig) -> Iterator[Case]:
    """Servers innermost: what changes on the machine meanwhile meets all of them alike."""
    methods = [m for m in config.methods if m != FEW_STEPS or config.few_steps is not None]
    for index, random_seed in enumerate(config.random_seeds):
        has_burst = index < config.num_bursts
        for load in (STEADY, BURST) if has_burst and config.burst_services else (STEADY,):
            for method in methods:
                # A runtime alone changes nothing of when pictures come that its rate does not say.
                if (method, load) != (SINGLE, BURST):
                    yield Case(method, {"load": load}, random_seed)
        if has_burst and config.num_devices:
            yield Case(BATCHED, {"load": DEVICES}, random_seed)
