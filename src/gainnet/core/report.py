"""What a run cost: one record per step; time is the critical path, energy and bits are sums."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal, final

Direction = Literal["none", "up", "down", "backhaul"]


@final
@dataclass(frozen=True)
class StepRecord:
    """One computation or one transfer of the whole batch.

    A computation has no channel uses; an analog transfer has channel uses but no bits.

    Args:
        label: what ran where, for people.
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

    @property
    def stop_s(self) -> float:
        return self.start_s + self.duration_s


@final
@dataclass(frozen=True)
class Report:
    """Cost of a plan: its steps, and the critical path through them.

    Args:
        steps: one record per step, in plan order.
        duration_s: critical path; for an estimate with random retransmissions the mean over drawn time lines.
        idle_energy_j: energy of the nodes while they wait, not part of `energy_j`.
        priced_as: name of the model whose FLOPs and bytes were priced.

    >>> Report((StepRecord("a", 0.0, 1.0, 2.0), StepRecord("b", 0.5, 1.0, 3.0)), 1.5).energy_j
    5.0
    """

    steps: tuple[StepRecord, ...] = ()
    duration_s: float = 0.0
    idle_energy_j: float = 0.0
    priced_as: str = "shipped"

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

    def to_json(self) -> dict[str, Any]:
        """The report as plain numbers; whole numbers become integers."""
        flat: dict[str, Any] = {
            "duration_s": self.duration_s,
            "energy_j": self.energy_j,
            "idle_energy_j": self.idle_energy_j,
            "priced_as": self.priced_as,
            "num_bits": self.num_bits,
            "num_channel_uses_up": self.num_channel_uses("up"),
            "num_channel_uses_down": self.num_channel_uses("down"),
            "num_channel_uses_backhaul": self.num_channel_uses("backhaul"),
            "num_retransmissions": self.num_retransmissions,
            "steps": [_whole(asdict(step)) for step in self.steps],
        }
        return _whole(flat)


def _whole(record: dict[str, Any]) -> dict[str, Any]:
    counts = (key for key in record if key.startswith(("num_", "flops")))
    return record | {key: _integer(record[key]) for key in counts}


def _integer(x: float) -> float | int:
    return int(x) if float(x).is_integer() else x


def critical_path_s(steps: Iterable[StepRecord]) -> float:
    """Time when the last step ends; 0 without steps."""
    return max((step.stop_s for step in steps), default=0.0)
