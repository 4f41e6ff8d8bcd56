"""Arithmetic as parts: small enough to follow by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gainnet.core.randomness import Random
from gainnet.core.types import NodeId, Spec, Tensors
from gainnet.models.part import Role
from gainnet.network import Hardware, Network, Node
from gainnet.radio.links.link import AnyLink

EDGE, OTHER, DEVICE = NodeId("edge"), NodeId("other"), NodeId("device")
SHAPE = Spec((4,))


@dataclass(frozen=True)
class Add:
    """Writes what it reads plus `amount` plus noise of its own name."""

    key: str
    made: str
    amount: float
    noise: float = 0.0
    flops: float = 1e9
    role: Role = "other"
    num_passes: int = 1
    memory_bytes: float = 1e6

    @property
    def name(self) -> str:
        return f"add_{self.made}"

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.key,)

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {self.made: SHAPE}

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        return {self.made: tensors[self.key] + self.amount + self.noise * random.normal((4,), self.name)}


def hardware(flops_per_s: float, memory_bytes: float = 1e9) -> Hardware:
    return Hardware(flops_per_s, 1.0, memory_bytes, 10.0, 1.0, 2.0, 1.0)


def network(*bearers: AnyLink) -> Network:
    nodes = {
        EDGE: Node("edge", hardware(1e9)),
        OTHER: Node("edge", hardware(5e8)),
        DEVICE: Node("device", hardware(1e8)),
    }
    pairs = [(s, t) for s in nodes for t in nodes if s != t]
    return Network(nodes, dict.fromkeys(pairs, tuple(bearers)))
