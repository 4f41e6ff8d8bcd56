"""Networks at table speed, for many generations."""

from __future__ import annotations

from dataclasses import replace

from gainnet.network.network import Network
from gainnet.radio import Digital, Tabulated
from gainnet.radio.links.link import AnyLink


def tabulated(network: Network) -> Network:
    """The same network, where measured tables say which codewords fail, instead of decoding every one.

    >>> from gainnet.network import cell, profile
    >>> network = cell(profile("edge_a100"), profile("phone"), (Digital(),), (Digital(),))
    >>> [type(link).__name__ for link in tabulated(network).links["device", "edge"]]
    ['Tabulated']
    """
    links = {pair: tuple(_faster(link) for link in bearers) for pair, bearers in network.links.items()}
    return replace(network, links=links)


def _faster(link: AnyLink) -> AnyLink:
    if not isinstance(link, Digital):
        return link
    return Tabulated(link.air, link.radios, link.arq)
