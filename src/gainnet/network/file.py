"""Networks from TOML files: nodes with hardware, media, and which links use them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, ValidationError

from gainnet.core.errors import ConfigError, nearest
from gainnet.core.files import read_toml
from gainnet.core.outside import first_mistake
from gainnet.core.types import NodeId
from gainnet.network.backhaul import Wire
from gainnet.network.hardware import Hardware, profile
from gainnet.network.network import Network, Node
from gainnet.network.scenario import DEVICE, EDGE
from gainnet.radio import AnyLink

Bearers = Callable[[Mapping[str, Any], str, Hardware, Hardware], tuple[AnyLink, ...]]
"""Links over an air with these settings (`AIR_KEYS`), on a medium, from one radio to another."""

AIR_KEYS: Final[Mapping[str, type | UnionType]] = {"fading": str, "snr_db": int | float, "bandwidth_hz": int | float}
"""Settings of `Air` that a medium may state, and that a link over it may state otherwise."""

# Tables with `extra="allow"` hold settings of an air beside their own fields; `_air_settings` checks them.


class NodeTable(BaseModel, frozen=True, extra="forbid"):
    """`[nodes.NAME]`: a node and its hardware."""

    kind: Literal["device", "edge"]
    hardware: str
    address: str | None = None


class AirTable(BaseModel, frozen=True, extra="allow"):
    """`[media.NAME]` of kind air; settings that are left out are as on the command line."""

    kind: Literal["air"]


class WireTable(BaseModel, frozen=True, extra="forbid"):
    """`[media.NAME]` of kind wire: full duplex, each direction of each link a medium of its own."""

    kind: Literal["wire"]
    bits_per_s: float = 1e9
    delay_s: float = 1e-3
    energy_per_bit_j: float = 1e-8


class LinkTable(BaseModel, frozen=True, extra="allow"):
    """`[[links]]`: two nodes and their medium, both ways, with settings of its own on an air."""

    between: tuple[str, str]
    medium: str


class NetworkTable(BaseModel, frozen=True, extra="forbid"):
    """A whole file."""

    detection_s: float = Field(default=0.1, ge=0.0)
    nodes: dict[str, NodeTable]
    media: dict[str, Annotated[AirTable | WireTable, Field(discriminator="kind")]]
    links: list[LinkTable]


def read_network(path: Path) -> NetworkTable:
    """The tables of a file. All links of one air share its spectrum.

        detection_s = 0.1                         # until a death is noticed

        [nodes.device]                            # exactly one device, called device
        kind = "device"
        hardware = "phone"                        # a profile or a .toml file

        [nodes.edge_1]                            # an edge that is alone is called edge
        kind = "edge"
        hardware = "edge_l4"
        address = "tls://10.0.0.5:8444"           # where other edges join the first one; see serve --join

        [media.cell]
        kind = "air"                              # fading, snr_db, bandwidth_hz
        snr_db = 5.0

        [media.fibre]
        kind = "wire"                             # bits_per_s, delay_s, energy_per_bit_j

        [[links]]
        between = ["device", "edge_1"]
        medium = "cell"                           # snr_db of this link, if it differs

    Args:
        path: of the file.

    Raises:
        ConfigError: the file cannot be read, or a field is unknown, missing or does not fit.
    """
    return table_of(read_toml(path, "network"), str(path))


def table_of(found: object, place: str) -> NetworkTable:
    """The tables of plain values.

    Args:
        found: as TOML or JSON gives them.
        place: where they stand, for errors.

    Raises:
        ConfigError: a field is unknown, missing or of another type, or nodes and links make no network.

    >>> nodes = {"device": {"kind": "device", "hardware": "phone"}, "edge": {"kind": "edge", "hardware": "edge_l4"}}
    >>> media = {"cell": {"kind": "air", "snr_db": 5.0}}
    >>> links = [{"between": ["device", "edge"], "medium": "cell"}]
    >>> table_of({"nodes": nodes, "media": media, "links": links}, "example").media["cell"].snr_db
    5.0
    >>> wrong = [{"between": ["device", "edge"], "medium": "sea"}]
    >>> table_of({"nodes": nodes, "media": media, "links": wrong}, "example")
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: network: the link device - edge has no medium 'sea'
    """
    try:
        table = NetworkTable.model_validate(found)
    except ValidationError as error:
        field, words = first_mistake(error.errors())
        raise ConfigError(f"network: {place} has {field}: {words}") from None
    _check(table)
    return table


def network_of(table: NetworkTable, bearers: Bearers) -> Network:
    """The network of a file.

    Args:
        table: of `read_network`.
        bearers: links over an air, from one radio to another.

    Raises:
        ConfigError: a hardware profile, or a setting of an air or a wire, is unknown or out of range.
    """
    hardware = {name: profile(node.hardware) for name, node in table.nodes.items()}
    nodes = {NodeId(name): Node(node.kind, hardware[name]) for name, node in table.nodes.items()}
    links: dict[tuple[NodeId, NodeId], tuple[AnyLink, ...]] = {}
    for link in table.links:
        # Both ways; a pair that several links name has all of their bearers.
        for source, target in (link.between, link.between[::-1]):
            made = _bearers(table, link, source, target, hardware, bearers)
            links[NodeId(source), NodeId(target)] = (*links.get((NodeId(source), NodeId(target)), ()), *made)
    return Network(nodes, links, table.detection_s)


def address_in(path: Path) -> str:
    """The address of the first edge of a network file, which the others join.

    Args:
        path: of the file.

    Raises:
        ConfigError: the file cannot be read, or the edge has no address.
    """
    edges = [(name, node.address) for name, node in read_network(path).nodes.items() if node.kind == "edge"]
    name, address = edges[0]
    if address is None:
        raise ConfigError(f"network: {name} has no address in {path}; write address = 'tls://host:port'")
    return address


def _bearers(
    table: NetworkTable, link: LinkTable, source: str, target: str, hardware: Mapping[str, Hardware], bearers: Bearers
) -> tuple[AnyLink, ...]:
    medium, own = table.media[link.medium], _air_settings(link.model_extra, " - ".join(link.between))
    if isinstance(medium, AirTable):
        settings = _air_settings(medium.model_extra, f"media.{link.medium}") | own
        # Airs of two names do not share spectrum, so the name of the table is the medium.
        return bearers(settings, link.medium, hardware[source], hardware[target])
    if own:
        raise ConfigError(f"network: the link {' - '.join(link.between)} is a wire; leave out {', '.join(own)}")
    return (Wire(f"{source} -> {target}", medium.bits_per_s, medium.delay_s, medium.energy_per_bit_j),)


def _air_settings(given: Mapping[str, Any] | None, where: str) -> dict[str, Any]:
    """Settings of an air that a table states; raises `ConfigError` for others, or values of another type."""
    for key, value in (given or {}).items():
        if key not in AIR_KEYS:
            raise ConfigError(f"network: {where}.{key} is unknown; {nearest(key, AIR_KEYS)}")
        # TOML writes whole numbers without a point, and its booleans are integers in Python.
        if isinstance(value, bool) or not isinstance(value, AIR_KEYS[key]):
            raise ConfigError(
                f"network: {where}.{key} is {value!r}; must be {'text' if key == 'fading' else 'a number'}"
            )
    return dict(given or {})


def _check(table: NetworkTable) -> None:
    """Raises `ConfigError` for nodes and links that make no network."""
    names = {kind: [name for name, node in table.nodes.items() if node.kind == kind] for kind in ("device", "edge")}
    devices, edges = names["device"], names["edge"]
    if devices != [DEVICE]:
        found = ", ".join(devices) or "none"
        raise ConfigError(f"network: it has the devices {found}; must have exactly one device, called {DEVICE!r}")
    # Plans for one edge call it by this name; those for several take any names.
    if not edges or (len(edges) == 1 and edges != [EDGE]):
        raise ConfigError(f"network: an edge that is alone is called {EDGE!r}; it has {', '.join(edges) or 'none'}")
    for link in table.links:
        if unknown := [name for name in link.between if name not in table.nodes]:
            raise ConfigError(f"network: a link ends at {unknown[0]!r}, which is no node")
        if link.medium not in table.media:
            raise ConfigError(f"network: the link {' - '.join(link.between)} has no medium {link.medium!r}")
        if link.between[0] == link.between[1]:
            raise ConfigError(f"network: a link of {link.between[0]!r} ends where it begins")
    reached = {name for link in table.links for name in link.between if DEVICE in link.between}
    if lonely := sorted(set(edges) - reached):
        raise ConfigError(f"network: no link between {DEVICE!r} and {lonely[0]!r}")
