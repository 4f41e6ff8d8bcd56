"""A cell as a network: edges, one device, and wires between the edges."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

from gainnet.core.types import NodeId
from gainnet.network.backhaul import Wire
from gainnet.network.hardware import Hardware
from gainnet.network.network import Network, Node
from gainnet.radio.links.link import AnyLink

EDGE = NodeId("edge")
DEVICE = NodeId("device")


def edge_names(num_edges: int) -> tuple[NodeId, ...]:
    """Names of the edges of a cell.

    >>> edge_names(1), edge_names(2)
    (('edge',), ('edge_1', 'edge_2'))
    """
    return (EDGE,) if num_edges == 1 else tuple(NodeId(f"edge_{k}") for k in range(1, num_edges + 1))


def wire_between(source: NodeId, target: NodeId) -> AnyLink:
    """A wire of 1 Gbit/s and 1 ms (assumed) of its own for each direction."""
    return Wire(f"{source} -> {target}")


def cell(
    edge: Hardware,
    device: Hardware,
    up: tuple[AnyLink, ...],
    down: tuple[AnyLink, ...],
    num_edges: int = 1,
    backhaul: Callable[[NodeId, NodeId], AnyLink] = wire_between,
) -> Network:
    """Edges and one device with an uplink and a downlink, and wires between the edges.

    device --up--> edge_1, edge_2, ... --down--> device;  edge_1 <--backhaul--> edge_2

    All edges use the links that are given, whose `medium` the ledger serialises: more edges get no more spectrum.

    >>> from gainnet.network.hardware import profile
    >>> from gainnet.radio import Ideal
    >>> net = cell(profile("edge_a100"), profile("phone"), (Ideal(),), (Ideal(),), num_edges=2)
    >>> net.edges, net.direction(*net.edges)
    (('edge_1', 'edge_2'), 'backhaul')
    """
    # One object for all edges: equal media are what makes the ledger serialise their transfers.
    edges = edge_names(num_edges)
    nodes = {name: Node("edge", edge) for name in edges} | {DEVICE: Node("device", device)}
    radio = {(DEVICE, name): up for name in edges} | {(name, DEVICE): down for name in edges}
    wires = {(source, target): (backhaul(source, target),) for source, target in permutations(edges, 2)}
    return Network(nodes, radio | wires)
