"""The cost of a plan: one record per step; time is the critical path, energy and bits are sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, final

Direction = Literal["none", "up", "down", "backhaul"]


@final
@dataclass(frozen=True)
class StepRecord:
    """One computation or one transfer of the whole batch.

    A computation has no channel uses; an analog transfer has channel uses but no bits.

    Args:
        label: operation and node, for people.
        start_s: start on the priced time line.
        duration_s: priced duration.
        energy_j: priced energy of all nodes that took part.
        flops: floating-point operations as priced.
        num_bits: payload bits.
        num_channel_uses: complex channel uses, retransmissions included.
        num_retransmissions: codewords sent again.
        delivered: whether every item arrived.
        direction: way of a transfer: up (device to edge), down (edge to device), backhaul (between others).
        wall_s: measured time on this machine; `None` when only estimated.
        has_uses: whether channel uses are known; JSON has null otherwise.
    """

    label: str
    start_s: float
    duration_s: float
    energy_j: float
    flops: float = 0.0
    num_bits: float = 0.0
    num_channel_uses: float = 0.0
    num_retransmissions: float = 0.0
    delivered: bool = True
    direction: Direction = "none"
    wall_s: float | None = None
    has_uses: bool = True

    @property
    def stop_s(self) -> float:
        return self.start_s + self.duration_s


@final
@dataclass(frozen=True)
class NodeUse:
    """The share of one node in the cost of a plan.

    Args:
        kind: device, edge or cloud.
        flops: floating-point operations as priced, all items together.
        memory_bytes: parameters that it held, as priced.
        compute_energy_j: energy of its processor while it computed.
        radio_energy_j: energy of its radio while it sent or received.
        idle_energy_j: energy of its processor while it waited.
    """

    kind: str
    flops: float = 0.0
    memory_bytes: float = 0.0
    compute_energy_j: float = 0.0
    radio_energy_j: float = 0.0
    idle_energy_j: float = 0.0


@final
@dataclass(frozen=True)
class Recovery:
    """How a plan continued after a node had failed.

    Args:
        start_s: when the failure was noticed.
        lost: nodes that had failed by then.
        reused: tensors that had been made or received before and were used again, as `tensor @ node`.
        ran_on: nodes that computed what was left.
    """

    start_s: float
    lost: tuple[str, ...]
    reused: tuple[str, ...]
    ran_on: tuple[str, ...]


@final
@dataclass(frozen=True)
class Report:
    """Cost of a plan: its steps, and the critical path through them.

    Args:
        steps: one record per step, in plan order.
        duration_s: critical path; for an estimate with random retransmissions the mean over drawn time lines.
        idle_energy_j: energy of the nodes while they wait, not part of `energy_j`.
        priced_as: name of the model whose FLOPs and bytes were priced.
        nodes: share of every node.
        recoveries: one per fallback.
        duration_p50_s: median of the critical path over drawn time lines; `None` when executed.
        duration_p95_s: its 95th percentile, likewise.
        drafts_differ: items whose draft on the device is another than on the edge; `None` where none was compared.

    >>> Report((StepRecord("a", 0.0, 1.0, 2.0), StepRecord("b", 0.5, 1.0, 3.0)), 1.5).energy_j
    5.0
    """

    steps: tuple[StepRecord, ...] = ()
    duration_s: float = 0.0
    idle_energy_j: float = 0.0
    priced_as: str = "shipped"
    nodes: Mapping[str, NodeUse] = field(default_factory=dict)
    recoveries: tuple[Recovery, ...] = ()
    duration_p50_s: float | None = None
    duration_p95_s: float | None = None
    drafts_differ: int | None = None

    @property
    def device_flops(self) -> float:
        """Floating-point operations of the devices."""
        return sum(node.flops for node in self.nodes.values() if node.kind == "device")

    @property
    def device_memory_bytes(self) -> float:
        """Parameters that the devices held."""
        return sum(node.memory_bytes for node in self.nodes.values() if node.kind == "device")

    @property
    def device_energy_j(self) -> float:
        """Energy of the devices: computing, sending, receiving; without waiting."""
        used = (node for node in self.nodes.values() if node.kind == "device")
        return sum(node.compute_energy_j + node.radio_energy_j for node in used)

    @property
    def energy_j(self) -> float:
        return sum(step.energy_j for step in self.steps)

    @property
    def num_bits(self) -> float:
        return sum(step.num_bits for step in self.steps)

    @property
    def num_retransmissions(self) -> float:
        return sum(step.num_retransmissions for step in self.steps)

    @property
    def delivered(self) -> bool:
        return all(step.delivered for step in self.steps)

    def num_channel_uses(self, *directions: Direction) -> float:
        """Channel uses of the named directions; of all when none is named."""
        return sum(s.num_channel_uses for s in self.steps if not directions or s.direction in directions)

    def num_bits_of(self, *directions: Direction) -> float:
        """Payload bits of the named directions."""
        return sum(s.num_bits for s in self.steps if s.direction in directions)

    def to_json(self) -> dict[str, Any]:
        """The report as plain numbers; whole numbers become integers."""
        times = ("duration_s", "duration_p50_s", "duration_p95_s", "energy_j", "idle_energy_j", "priced_as", "num_bits")
        ways: tuple[Direction, ...] = ("up", "down", "backhaul")
        flat: dict[str, Any] = {name: getattr(self, name) for name in times}
        known = {way: all(step.has_uses for step in self.steps if step.direction == way) for way in ways}
        flat |= {f"num_channel_uses_{way}": self.num_channel_uses(way) if known[way] else None for way in ways}
        flat["num_retransmissions"] = self.num_retransmissions
        flat |= {f"num_bits_{way}": self.num_bits_of(way) for way in ways}
        of_devices = ("device_flops", "device_memory_bytes", "device_energy_j", "delivered", "drafts_differ")
        flat |= {name: getattr(self, name) for name in of_devices}
        flat["nodes"] = {name: asdict(node) for name, node in self.nodes.items()}
        flat["recoveries"] = [asdict(recovery) for recovery in self.recoveries]
        flat["steps"] = [_step(step) for step in self.steps]
        return _whole(flat)


def _step(step: StepRecord) -> dict[str, Any]:
    record = asdict(step)
    return _whole(record if record.pop("has_uses") else record | {"num_channel_uses": None})


def _whole(record: dict[str, Any]) -> dict[str, Any]:
    # Counts are floats, because an estimate expects fractions; JSON shows a whole one as an integer.
    counts = {key: x for key, x in record.items() if key.startswith(("num_", "flops")) and x is not None}
    return record | {key: int(x) for key, x in counts.items() if float(x).is_integer()}


def critical_path_s(steps: Iterable[StepRecord]) -> float:
    """Time when the last step ends; 0 without steps.

    >>> beside = (StepRecord("draw @ edge", 0.0, 2.0, 5.0), StepRecord("draft @ device", 0.0, 3.0, 1.0))
    >>> critical_path_s(beside)  # they overlap
    3.0
    >>> critical_path_s(())
    0.0
    """
    return max((step.stop_s for step in steps), default=0.0)
