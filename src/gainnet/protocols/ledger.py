"""The only place where steps become time, energy and bits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import final

import numpy as np
import numpy.typing as npt

from gainnet.core.errors import PlanError
from gainnet.core.report import NodeUse, Recovery, Report, StepRecord, critical_path_s
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
        # Plans are lists, but a step waits only for its inputs and for its own node or medium.
        waits = [self._free[x] for x in occupied] + [self._ready[place] for place in needs]
        start_s: Seconds = np.max(np.stack([self._now, *waits]), axis=0)
        stop_s = start_s + duration_s
        # A broadcast names one medium once per receiver; the dictionary keeps it once.
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
        self._flops: dict[NodeId, float] = defaultdict(float)
        self._radio_j: dict[NodeId, float] = defaultdict(float)
        self._held: dict[NodeId, dict[str, float]] = defaultdict(dict)
        self._recoveries: list[Recovery] = []

    def computed(self, step: Compute, wall_s: float | None = None) -> None:
        """Book a computation."""
        hardware = self._network.node(step.node).hardware
        flops = self._pricing.flops(step.part) * self._num_items
        duration_s = hardware.duration_s(flops)
        start_s = self._timeline.book((step.node,), step.needs, step.makes, duration_s)
        self._busy_s[step.node] += duration_s
        self._flops[step.node] += flops
        # Memory counts each part once per node, however many slices of it run there.
        hold(self._held[step.node], step, self._pricing)
        energy_j = duration_s * hardware.active_power_w
        self._records.append(
            StepRecord(step.label, float(start_s[0]), duration_s, energy_j, flops=flops, wall_s=wall_s)
        )

    def sent(self, step: Transfer, usages: Sequence[Usage], wall_s: float | None = None) -> None:
        """Book a transfer, with one usage per target."""
        # The sender spends its energy once for all receivers, every receiver its own.
        usage = broadcast(usages)
        self._radio_j[step.source] += usage.tx_energy_j
        for target, each in zip(step.targets, usages, strict=True):
            self._radio_j[target] += each.rx_energy_j
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
                has_uses=usage.has_uses,
            )
        )

    def recovered(self, lost: Iterable[NodeId], reused: Iterable[Place], ran_on: Iterable[NodeId]) -> None:
        """Book a recovery: steps booked after it wait until the death has been detected.

        Args:
            lost: nodes that died.
            reused: tensors that had arrived and are used again.
            ran_on: nodes that compute the rest.
        """
        # Nobody knows of the death before a timeout, so the fallback starts that much after all that ran.
        start_s = self._timeline.stop_s + self._network.detection_s
        self._timeline.wait_until(start_s)
        tensors = tuple(f"{tensor} @ {node}" for node, tensor in reused)
        self._recoveries.append(Recovery(float(start_s[0]), tuple(lost), tensors, tuple(ran_on)))

    @property
    def last(self) -> StepRecord:
        """Record of the step that was booked last."""
        return self._records[-1]

    def report(self, courses_s: Seconds | None = None) -> Report:
        """Everything booked so far; the critical path is that of the records, or the mean of drawn ones."""
        total_s = critical_path_s(self._records) if courses_s is None else float(courses_s.mean())
        nodes = {str(node): self._node_use(node, total_s) for node in self._network.nodes if self._took_part(node)}
        idle_j = sum(node.idle_energy_j for node in nodes.values())
        # Quantiles exist only for an estimate, which follows many courses of events at once.
        p50_s, p95_s = (None, None) if courses_s is None else map(float, np.quantile(courses_s, (0.5, 0.95)))
        return Report(
            tuple(self._records), total_s, idle_j, self._pricing.name, nodes, tuple(self._recoveries), p50_s, p95_s
        )

    def _took_part(self, node: NodeId) -> bool:
        return node in self._busy_s or node in self._radio_j

    def _node_use(self, name: NodeId, total_s: float) -> NodeUse:
        """Use of one node over the whole run."""
        node, busy_s = self._network.node(name), self._busy_s.get(name)
        # Idle power is charged to nodes that compute; one that only forwards would be awake anyway.
        idle_s = 0.0 if busy_s is None else max(total_s - busy_s, 0.0)
        return NodeUse(
            kind=node.kind,
            flops=self._flops.get(name, 0.0),
            memory_bytes=sum(self._held.get(name, {}).values()),
            compute_energy_j=(busy_s or 0.0) * node.hardware.active_power_w,
            radio_energy_j=self._radio_j.get(name, 0.0),
            idle_energy_j=idle_s * node.hardware.idle_power_w,
        )


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
        has_uses=all(u.has_uses for u in usages),
    )


def memory_held(plan: Plan, pricing: Pricing) -> dict[NodeId, dict[str, float]]:
    """Bytes of the parameters that every node holds, by part."""
    held: dict[NodeId, dict[str, float]] = defaultdict(dict)
    for step in plan.steps:
        if isinstance(step, Compute):
            hold(held[step.node], step, pricing)
    return held


def hold(held: dict[str, float], step: Compute, pricing: Pricing) -> None:
    """Enter the parameters of a step into what its node holds; all parts of one role share theirs."""
    # Slices of a denoiser are named denoiser[a:b] and share their weights.
    name = step.part.name.split("[")[0] if step.part.role == "other" else step.part.role
    held[name] = max(pricing.memory_bytes(step.part), held.get(name, 0.0))


def check_memory(plan: Plan, network: Network, pricing: Pricing) -> None:
    """Raises `PlanError` when the parameters that a node holds do not fit its memory."""

    for node, parts in memory_held(plan, pricing).items():
        limit = network.node(node).hardware.memory_bytes
        if sum(parts.values()) > limit:
            raise PlanError(
                f"hardware: {', '.join(parts)} priced as {pricing.name} take {sum(parts.values()) / 1e9:.1f} GB and "
                f"{node} has {limit / 1e9:.1f} GB; choose larger hardware or another protocol"
            )
