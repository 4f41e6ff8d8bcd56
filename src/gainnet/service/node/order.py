"""A request as every node understands it: the same plan, streams and prices, of texts that a peer may send."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, Final, final

import torch
from torch import Tensor

from gainnet.catalog import families, parse_from_peer
from gainnet.catalog.opening import KINDS, Recordings, open_request
from gainnet.catalog.records import IDEAL, GenerationConfig
from gainnet.core.errors import ConfigError, PayloadError, check_name
from gainnet.core.outside import read_integer, read_list, read_text, reading
from gainnet.core.randomness import Random
from gainnet.core.types import Place, Spec
from gainnet.generation.arguments import MAX_PROMPT_BYTES, check_arguments
from gainnet.generation.planning import Planned, streams
from gainnet.models.diffusion import DiffusionModel
from gainnet.network import profiles
from gainnet.network.file import NetworkTable, table_of
from gainnet.power_control import pretrained_names
from gainnet.protocols import Pricing
from gainnet.protocols.binding import prompt_spec
from gainnet.protocols.task import PICTURE, PROMPT
from gainnet.radio import Delivery, SnrTrace

OWN: Final = (
    "image", "network", "trace", "delivery", "torch_device", "online", "failures", "model", "strength", "height",
    "width",
)  # fmt: skip
"""Fields of a configuration that no peer may send: files, places and hub ids of this machine; the sides of the picture,
which are those of the edge's model; and the strength, which goes beside the configuration, because the picture stays at
the device."""

MOST_PROMPTS: Final = 16
MOST_ROWS: Final = 1_000_000
"""Of a recording of the air."""
MOST_TEXT: Final = 2000
MOST_TABLES: Final = 64
"""Nodes, media or links of a network."""
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
LARGEST: Final = 1e9
_WHOLE: Final = ("random_seed",)
"""Integers that may be as large as 2^63."""


@final
@dataclass(frozen=True)
class Asked:
    """Request of a device.

    Args:
        config: without what stays on the device.
        strength: of image-to-image, above 0 to 1; text-to-image when `None`.
        recordings: of the air, which travel as numbers, and tables of a network.
    """

    config: GenerationConfig
    strength: float | None = None
    recordings: Recordings = Recordings()

    def to_json(self) -> dict[str, Any]:
        """Plain values: fields that are not at their default."""
        given = {each.name: getattr(self.config, each.name) for each in fields(GenerationConfig)}
        changed = {name: value for name, value in given.items() if name not in OWN and value != _default(name)}
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in changed.items()}
        table = self.recordings.network
        network = {} if table is None else {"network": table.model_dump(exclude_none=True)}
        return {"config": plain, "strength": self.strength, **network}

    def tensors(self) -> dict[str, Tensor]:
        """Recordings of the air: `snr_db` [num_rows] float64 or `delivery_ms` [num_packets] int64."""
        trace, times_ms = self.recordings.snr_trace, self.recordings.delivery_ms
        snr_db = {} if trace is None else {"snr_db": torch.tensor(trace.snr_db, dtype=torch.float64)}
        return snr_db if times_ms is None else {"delivery_ms": torch.tensor(times_ms)}


@final
@dataclass(frozen=True, eq=False)
class Order:
    """A request as a plan that all its nodes have.

    Args:
        prompts: one per item.
        planned: network and plan.
        given: shapes of what the device has at the start.
        random: streams of the items.
        pricing: what parts are priced as.
        model: name of the model, on this node.
    """

    prompts: tuple[str, ...]
    planned: Planned
    given: Mapping[Place, Spec]
    random: Random
    pricing: Pricing
    model: str


def read_asked(head: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> Asked:
    """Request from its frame; the inverse of `Asked.to_json` and `Asked.tensors`.

    Args:
        head: of a peer.
        tensors: of a peer.

    Raises:
        GainnetError: a field is unknown, of another type or out of range, or a text names what a peer may not name.

    >>> read_asked({"config": {"prompts": ["a yellow star"], "snr_db": 5.0}}).config.snr_db
    5.0
    """
    with reading("request"):
        found, strength = dict(head["config"]), head.get("strength")
        known = {each.name: each for each in fields(GenerationConfig) if each.name not in OWN}
        if unknown := sorted(set(found) - set(known)):
            raise ConfigError(f"{read_text(unknown[0], 'config', 64)}: a peer may not send it; leave it out")
        values = {name: _value(name, str(known[name].type), value) for name, value in found.items()}
        if strength is not None:
            values["strength"] = _number("strength", strength)
        config = GenerationConfig(**{k: v for k, v in values.items() if k != "strength"})
    check_names(config)
    check_arguments(config.num_channel_uses, values.get("strength"), math.inf, (), config.random_seed)
    return Asked(config, values.get("strength"), _recordings(tensors or {}, head.get("network")))


def check_names(config: GenerationConfig) -> None:
    """Raises `ConfigError` where a text of a configuration names what a peer may not name, as a path or a class."""
    parse_from_peer("protocol", config.protocol)
    if config.fading != IDEAL:
        parse_from_peer("fading", config.fading)
    for kind, text in config.codec.items():
        check_name("codec", kind, KINDS)
        parse_from_peer(f"codec.{kind}", text)
    for name in ("hardware", "edge_hardware"):
        check_name(name, getattr(config, name), profiles())
    if config.power is not None and config.power not in pretrained_names():
        check_name("power", config.power.partition("(")[0], families.table_of("power"))
        parse_from_peer("power", config.power)
    if any(getattr(config, name) != _default(name) for name in ("image", "network", "trace", "delivery", "failures")):
        raise ConfigError("config: files and failures stay where they are; leave them out")


def check_network(table: NetworkTable) -> None:
    """Raises `ConfigError` where a network is larger than one may be, or names what a peer may not name."""
    sizes = {"nodes": len(table.nodes), "media": len(table.media), "links": len(table.links)}
    if too_many := [name for name, size in sizes.items() if size > MOST_TABLES]:
        raise ConfigError(f"network: it has more than {MOST_TABLES} {too_many[0]}; leave some out")
    if odd := [name for name in (*table.nodes, *table.media) if not _NAME.fullmatch(name)]:
        raise ConfigError(f"network: {odd[0][:64]!r} is no name; give 1 to 64 letters, digits, '-' or '_'")
    for name, node in table.nodes.items():
        check_name(f"network.{name}.hardware", node.hardware, profiles())
    settings: list[Mapping[str, Any]] = [each.model_extra or {} for each in (*table.links, *table.media.values())]
    for fading in (each["fading"] for each in settings if "fading" in each):
        if fading != IDEAL:
            parse_from_peer("fading", read_text(fading, "network.fading", MOST_TEXT))


def order_of(asked: Asked, model: DiffusionModel) -> Order:
    """The order that a request is.

    Args:
        asked: by a device.
        model: whose parts run; those that this node does not run may be without weights.

    Raises:
        GainnetError: the configuration does not fit the model.
    """
    check_names(asked.config)
    if asked.recordings.network is not None:
        check_network(asked.recordings.network)
    request = replace(open_request(asked.config, model, asked.recordings), strength=asked.strength)
    given = {PROMPT: prompt_spec(request.prompts)}
    if asked.strength is not None:
        given[PICTURE] = model.image
    random = streams(request.random_seed, len(request.prompts))
    return Order(request.prompts, request.make_plan(), given, random, request.priced_as, model.name)


def _recordings(tensors: Mapping[str, Tensor], network: object) -> Recordings:
    """Recordings and tables that a peer sent; raises `GainnetError` where they are none."""
    snr_db, times_ms = tensors.get("snr_db"), tensors.get("delivery_ms")
    for x, kind in ((snr_db, torch.float64), (times_ms, torch.int64)):
        if x is not None and (x.dtype != kind or x.dim() != 1 or len(x) > MOST_ROWS):
            raise PayloadError(f"request: a recording must be at most {MOST_ROWS:,} numbers of {kind}")
    times = None if times_ms is None else tuple(times_ms.tolist())
    if times is not None:
        Delivery(times)  # raises for times that make no trace
    table = None if network is None else table_of(network, "it")
    return Recordings(None if snr_db is None else SnrTrace(tuple(snr_db.tolist())), times, table)


def _default(name: str) -> Any:
    each = next(each for each in fields(GenerationConfig) if each.name == name)
    return each.default_factory() if each.default_factory is not MISSING else each.default


def _value(name: str, kind: str, value: object) -> Any:
    """A value of a peer as the field takes it."""
    if value is None and "None" in kind:
        return None
    if name == "prompts":
        return tuple(_prompt(text) for text in read_list(value, name, MOST_PROMPTS))
    if name == "codec":
        if not isinstance(value, dict):
            raise PayloadError("codec: it must be an object of names")
        return {read_text(kind, name, 64): read_text(text, name, MOST_TEXT) for kind, text in value.items()}
    if kind.startswith("int"):
        return read_integer(value, name, 0, 2**63 - 1 if name in _WHOLE else int(LARGEST))
    if kind.startswith("float"):
        return _number(name, value)
    return read_text(value, name, MOST_TEXT)


def _prompt(text: object) -> str:
    if not isinstance(text, str) or len(text) > MAX_PROMPT_BYTES:
        raise PayloadError(f"prompts: each must be a text of at most {MAX_PROMPT_BYTES} bytes")
    return text


def _number(name: str, value: object) -> float:
    if type(value) not in (int, float) or not abs(value) <= LARGEST:  # type: ignore[arg-type]
        raise PayloadError(f"{name}: it must be a number of at most {LARGEST:g}")
    return float(value)  # type: ignore[arg-type]
