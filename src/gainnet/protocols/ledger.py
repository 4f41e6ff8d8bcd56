"""The only place that turns steps into time, energy and bits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import final

import numpy as np
import numpy.typing as npt

from gainnet.core.errors import PlanError
from gainnet.core.report import Report, StepRecord, critical_path_s
from gainnet.core.types import NodeId, Place, Usage
from gainnet.network.network import Network
from gainnet.protocols.plan import Compute, Plan, Transfer
from gainnet.protocols.pricing import Pricing

Seconds = npt.NDArray[np.float64]


@final
class Timeline:
    """When everything is ready, for several drawn courses of events at once.

    A step starts when its inputs are there and everything it occupies is free, so steps on different nodes overlap
    while a plan stays a plain list.

    Args:
        num_courses: courses of events that are followed side by side.
    """

    def __init__(self, num_courses: int = 1) -> None:
        self._now: Seconds = np.zeros(num_courses)
        self._ready: dict[Place, Seconds] = defaultdict(lambda: self._now)
        self._free: dict[Hashable, Seconds] = defaultdict(lambda: self._now)
        self.stop_s: Seconds = np.zeros(num_courses)

    def book(
        self, occupies: Iterable[Hashable], needs: Iterable[Place], makes: Iterable[Place], duration_s: Seconds | float
    ) -> Seconds:
        """[num_courses], start of a step of [num_courses] duration."""
        occupied = tuple(occupies)
        waits = [self._free[x] for x in occupied] + [self._ready[place] for place in needs]
        start_s: Seconds = np.max(np.stack([self._now, *waits]), axis=0)
        stop_s = start_s + duration_s
        self._free |= dict.fromkeys(occupied, stop_s)
        self._ready |= dict.fromkeys(makes, stop_s)
        self.stop_s = np.maximum(self.stop_s, stop_s)
        return start_s

    def wait_until(self, time_s: Seconds | float) -> None:
        """Nothing that is booked from here on starts earlier."""
        self._now = np.maximum(self._now, time_s)


@final
class Ledger:
    """Books the steps of one run, in plan order, for a batch of `num_items`.

    Args:
        network: where the steps run.
        pricing: what a part is priced as.
        num_items: items of the batch; FLOPs and sizes are per item.
    """

    def __init__(self, network: Network, pricing: Pricing, num_items: int) -> None:
        self._network, self._pricing, self._num_items = network, pricing, num_items
        self._timeline = Timeline()
        self._records: list[StepRecord] = []
        self._busy_s: dict[NodeId, float] = defaultdict(float)

    def computed(self, step: Compute, wall_s: float | None = None) -> None:
        """Book a computation."""
        hardware = self._network.node(step.node).hardware
        flops = self._pricing.flops(step.part) * self._num_items
        duration_s = hardware.duration_s(flops)
        start_s = self._timeline.book((step.node,), step.needs, step.makes, duration_s)
        self._busy_s[step.node] += duration_s
        energy_j = duration_s * hardware.active_power_w
        self._records.append(
            StepRecord(step.label, float(start_s[0]), duration_s, energy_j, flops=flops, wall_s=wall_s)
        )

    def sent(self, step: Transfer, usages: Sequence[Usage], wall_s: float | None = None) -> None:
        """Book a transfer, with one usage per target."""
        usage = broadcast(usages)
        duration_s = usage.duration_s + usage.feedback_s
        media = [self._network.link(step.source, t, step.codec.emits).medium for t in step.targets]
        start_s = self._timeline.book(media, step.needs, step.makes, duration_s)
        self._records.append(
            StepRecord(
                step.label,
                float(start_s[0]),
                duration_s,
                usage.tx_energy_j + usage.rx_energy_j,
                num_bits=usage.num_bits,
                num_channel_uses=usage.num_channel_uses,
                num_retransmissions=usage.num_retransmissions,
                delivered=usage.delivered,
                direction=self._network.direction(step.source, step.targets[0]),
                wall_s=wall_s,
            )
        )

    def noticed_failure(self) -> None:
        """Whatever is booked from here on waits until the failure was noticed."""
        self._timeline.wait_until(self._timeline.stop_s + self._network.detection_s)

    def report(self, duration_s: float | None = None) -> Report:
        """Everything booked so far; the critical path is that of the records unless given."""
        total_s = critical_path_s(self._records) if duration_s is None else duration_s
        idle_j = (
            self._network.node(node).hardware.idle_power_w * max(total_s - busy_s, 0.0)
            for node, busy_s in self._busy_s.items()
        )
        return Report(tuple(self._records), total_s, sum(idle_j), self._pricing.name)


def broadcast(usages: Sequence[Usage]) -> Usage:
    """Usage of one transmission to several receivers: the slowest one sets the pace, each receiver spends energy.

    >>> one = Usage(8, 4, 0, 1.0, 0.0, 2.0, 1.0)
    >>> broadcast([one, one]).rx_energy_j
    2.0
    """
    return Usage(
        num_bits=max(u.num_bits for u in usages),
        num_channel_uses=max(u.num_channel_uses for u in usages),
        num_retransmissions=max(u.num_retransmissions for u in usages),
        duration_s=max(u.duration_s for u in usages),
        feedback_s=max(u.feedback_s for u in usages),
        tx_energy_j=max(u.tx_energy_j for u in usages),
        rx_energy_j=sum(u.rx_energy_j for u in usages),
        delivered=all(u.delivered for u in usages),
    )


def check_memory(plan: Plan, network: Network, pricing: Pricing) -> None:
    """Raises `PlanError` when the parameters that a node holds do not fit its memory.

    Slices of one part share their parameters.
    """
    held: dict[NodeId, dict[str, float]] = defaultdict(dict)
    for step in plan.steps:
        if isinstance(step, Compute):
            held[step.node][step.part.name.split("[")[0]] = pricing.memory_bytes(step.part)
    for node, parts in held.items():
        limit = network.node(node).hardware.memory_bytes
        if sum(parts.values()) > limit:
            raise PlanError(
                f"hardware: {', '.join(parts)} priced as {pricing.name} take {sum(parts.values()) / 1e9:.1f} GB and "
                f"{node} has {limit / 1e9:.1f} GB; choose larger hardware or another protocol"
            )
