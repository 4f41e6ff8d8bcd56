"""Networks one can ask for by a few numbers."""

from __future__ import annotations

from gainnet.core.types import NodeId
from gainnet.network.hardware import Hardware
from gainnet.network.network import Network, Node
from gainnet.radio.link import AnyLink

EDGE = NodeId("edge")
DEVICE = NodeId("device")


def cell(edge: Hardware, device: Hardware, up: tuple[AnyLink, ...], down: tuple[AnyLink, ...]) -> Network:
    """One edge and one device with an uplink and a downlink.

    device --up--> edge --down--> device

    >>> from gainnet.network.hardware import profile
    >>> from gainnet.radio import IdealLink
    >>> net = cell(profile("edge_a100"), profile("phone"), (IdealLink(),), (IdealLink(),))
    >>> net.direction(EDGE, DEVICE)
    'down'
    """
    nodes = {EDGE: Node("edge", edge), DEVICE: Node("device", device)}
    return Network(nodes, {(DEVICE, EDGE): up, (EDGE, DEVICE): down})
