"""Networks of one device and its edges over one air."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, final

from gainnet.core.errors import ConfigError, check_range
from gainnet.core.types import Bits, NodeId
from gainnet.network import Hardware, Network, cell, profile
from gainnet.network.scenario import DEVICE, wire_between
from gainnet.radio import Air, Analog, AnyLink, Arq, Digital, Ideal, Powered, PowerPolicy, Radios, Tabulated

MAX_EDGES: Final = 16


@final
@dataclass(frozen=True)
class Cell:
    """A device and its edges, which share one air.

    device --bits--> edge_1, edge_2, ... --bits and symbols--> device;  edge_1 <--wire--> edge_2

    Args:
        air: of all links; without noise (`snr_db=inf`) links carry everything at once and for nothing.
        num_edges: 1 to 16.
        device: its hardware; a phone by default.
        edge: hardware of every edge; an A100 by default.
        arq: retransmissions of bits.
        power: decides the power of a fading block of symbols; constant power when `None`.
        edge_power: share of its transmit power that an edge spends on what it sends, above 0 to 1.

    Raises:
        ConfigError: too few or too many edges, or a policy for an air that it cannot follow.

    >>> Cell(Air(snr_db=5.0), num_edges=2).network().edges
    ('edge_1', 'edge_2')
    """

    air: Air = Air()
    num_edges: int = 1
    device: Hardware = profile("phone")
    edge: Hardware = profile("edge_a100")
    arq: Arq = Arq()
    power: PowerPolicy | None = None
    edge_power: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.num_edges <= MAX_EDGES:
            raise ConfigError(f"num_edges: {self.num_edges} is outside 1 to {MAX_EDGES}")
        check_range(0.0 < self.edge_power <= 1.0, "edge_power", self.edge_power, "above 0 to 1")
        if self.power is not None and self.air.snr_db == math.inf:
            raise ConfigError("power: an ideal link has no fading to follow; choose --fading rayleigh, for example")
        if self.power is not None and (self.air.reports.delay_blocks or self.air.reports.error_db):
            raise ConfigError("power: it follows the true gain of a block; leave report_delay and report_error_db out")

    def network(self) -> Network:
        """Its nodes and links.

        Raises:
            ConfigError: the power policy cannot follow the fading.
        """
        # Es/N0 at the device falls with the power of the edge; the other direction stays.
        lowered = replace(self.air, snr_db=self.air.snr_db + 10 * math.log10(self.edge_power))
        edge = replace(self.edge, tx_power_w=self.edge_power * self.edge.tx_power_w)
        up, down = self.links(self.device, self.edge), replace(self, air=lowered).links(edge, self.device)
        return cell(self.edge, self.device, up, down, self.num_edges, _backhaul(self.air))

    def links(self, source: Hardware, target: Hardware) -> tuple[AnyLink, AnyLink]:
        """From one radio to another: for bits, and for symbols."""
        if self.air.snr_db == math.inf:
            return Ideal(self.air.medium), Analog(self.air)
        radios = Radios(source.tx_power_w, target.rx_power_w)
        powered = replace(self.air, fading=Powered(self.air.fading, self.power)) if self.power else self.air
        return Digital(self.air, radios, self.arq), Analog(powered, radios)


Over: TypeAlias = Air | Cell | Network
"""An air between one edge and a phone, a cell, or a whole network."""


def network_over(over: Over) -> Network:
    """The network that is meant by an air or a cell.

    >>> network_over(Air()).edges
    ('edge',)
    """
    if isinstance(over, Air):
        return Cell(over).network()
    return over.network() if isinstance(over, Cell) else over


def downlink(network: Network) -> AnyLink:
    """The link that carries content to the device as bits: that of the first edge."""
    return network.link(network.edges[0], DEVICE, Bits)


def use_tables(network: Network) -> Network:
    """The same network, where measured tables say which codewords fail, instead of decoding every one.

    >>> [type(link).__name__ for link in use_tables(Cell().network()).links["device", "edge"]]
    ['Tabulated', 'Analog']
    """
    links = {pair: tuple(_tabulated(link) for link in bearers) for pair, bearers in network.links.items()}
    return replace(network, links=links)


def _tabulated(link: AnyLink) -> AnyLink:
    return Tabulated(link.air, link.radios, link.arq) if isinstance(link, Digital) else link


def _backhaul(air: Air) -> Callable[[NodeId, NodeId], AnyLink]:
    """Wires between edges; where the air is ideal, they are, too, so that pictures can be compared exactly."""
    return wire_between if air.snr_db < math.inf else lambda source, target: Ideal()
