"""Networks: nodes that compute, and links that carry payloads between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

from gainnet.core.errors import PlanError
from gainnet.core.report import Direction
from gainnet.core.types import NodeId, Payload
from gainnet.network.hardware import Hardware
from gainnet.radio.links.link import AnyLink

Kind = Literal["device", "edge", "cloud"]


@final
@dataclass(frozen=True)
class Node:
    """A node that parts run on.

    Args:
        kind: device (of the user), edge (at the base station) or cloud.
        hardware: processor, memory and radio.
    """

    kind: Kind
    hardware: Hardware


@final
@dataclass(frozen=True)
class Network:
    """Nodes and the directed links between them.

    Args:
        nodes: by name.
        links: the bearers of a pair (source, target), at most one per payload type.
        detection_s: time until the others notice that a node died.
    """

    nodes: Mapping[NodeId, Node]
    links: Mapping[tuple[NodeId, NodeId], tuple[AnyLink, ...]]
    detection_s: float = 0.1

    @property
    def edges(self) -> tuple[NodeId, ...]:
        """Names of the edges, in the order in which they were given."""
        return tuple(name for name, node in self.nodes.items() if node.kind == "edge")

    def node(self, name: NodeId) -> Node:
        """The node of that name; raises `PlanError` when there is none."""
        if name not in self.nodes:
            raise PlanError(f"node {name!r} is not in the network; it has {', '.join(sorted(self.nodes))}")
        return self.nodes[name]

    def link(self, source: NodeId, target: NodeId, payload: type[Payload]) -> AnyLink:
        """The bearer from source to target that carries such payloads; raises `PlanError` when there is none."""
        # By type and not by kind of link: a plan asks for a bearer of bits or symbols, whatever lies under it.
        bearers = self.links.get((source, target), ())
        for bearer in bearers:
            if bearer.carries is payload:
                return bearer
        carried = " and ".join(b.carries.__name__ for b in bearers) or "nothing"
        raise PlanError(f"the link {source} -> {target} cannot carry {payload.__name__}; it carries {carried}")

    def direction(self, source: NodeId, target: NodeId) -> Direction:
        """Which way a transfer goes: up from a device, down to a device, else backhaul."""
        if self.node(source).kind == "device":
            return "up"
        return "down" if self.node(target).kind == "device" else "backhaul"
