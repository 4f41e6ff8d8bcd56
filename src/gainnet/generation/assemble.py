"""From a configuration to the objects it names: network, codecs, plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from gainnet.codecs import CODECS, AnyCodec, Codecs, Kind, bind
from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.plugins import find, guarded, require_members
from gainnet.core.types import Symbols
from gainnet.core.units import db_to_linear
from gainnet.generation.air import bearers, downlink, mean_snr_db
from gainnet.generation.config import IDEAL, GenerationConfig
from gainnet.models.diffusion import DiffusionModel
from gainnet.network import Network, cell, profile
from gainnet.network.file import network_of
from gainnet.network.scenario import wire_between
from gainnet.protocols import PROTOCOLS, Protocol
from gainnet.protocols.binding import Binding, kinds_sent
from gainnet.protocols.deadline import within
from gainnet.protocols.plan import Plan, Transfer
from gainnet.protocols.task import PICTURE
from gainnet.radio import Ideal


def build_network(config: GenerationConfig) -> Network:
    """Edges and a device with digital uplinks, downlinks of bits and symbols over one medium, wires between edges."""
    if config.network is not None:
        return network_of(
            Path(config.network),
            lambda air, medium, source, target: bearers(replace(config, **air), source, target, medium),
        )
    device, edge = profile(config.hardware), profile(config.edge_hardware, "edge_hardware")
    up, down = bearers(config, device, edge), bearers(config, edge, device)
    wired = wire_between if config.fading != IDEAL else lambda source, target: Ideal()
    return cell(edge, device, up, down, config.num_edges, wired)


def build_plan(config: GenerationConfig, model: DiffusionModel, network: Network) -> Plan:
    """The plan of the protocol of a configuration, with its codecs; see `assemble`."""
    return assemble(config, model, network)[0]


def assemble(config: GenerationConfig, model: DiffusionModel, network: Network) -> tuple[Plan, dict[str, str]]:
    """The plan of the protocol of a configuration, and the names of the codecs that it uses.

    Raises:
        ConfigError: the configuration has something that the protocol has no use for.
    """
    protocol = protocol_of(config, network)
    binding = binding_of(config, protocol, model, network)
    codecs = binding.chosen(codecs_of(config, protocol))
    bound = binding.bound(codecs)
    plan = guarded("protocol", protocol.plan, model, bound, network.edges, config.picture_strength)
    if not isinstance(plan, Plan):
        raise ConfigError(f"protocol: {config.protocol} returned a {type(plan).__name__}, not a Plan")
    sent: dict[Kind, str] = {
        kind: config.codec.get(kind) or _name_of(kind, codecs.of(kind)) for kind in kinds_sent(plan, bound, protocol)
    }
    _check_use(config, plan, sent)
    binding.check_fits(bound, {kind: f"{kind}={name}" for kind, name in sent.items()})
    if config.power is not None and not any(isinstance(s, Transfer) and s.codec.emits is Symbols for s in plan.steps):
        raise ConfigError(f"power: {_without_symbols(sent, binding)}, or leave power out")
    return (plan if config.deadline_s is None else within(plan, config.deadline_s)), {
        str(kind): name for kind, name in sent.items()
    }


def open_plan(config: GenerationConfig, model: DiffusionModel) -> tuple[Network, Plan, dict[str, str]]:
    """Network, plan and names of its codecs; an error names all that air and codecs lack for a power policy.

    Raises:
        ConfigError: as `build_network` and `assemble`.
    """
    try:
        network = build_network(config)
    except ConfigError as error:
        if config.power is None or not str(error).startswith("power: "):
            raise
        air = build_network(replace(config, power=None))
        try:
            assemble(config, model, air)
        except ConfigError as other:
            raise ConfigError(f"{error}; and {str(other).removeprefix('power: ')}") from None
        raise
    return network, *assemble(config, model, network)


def protocol_of(config: GenerationConfig, network: Network) -> Protocol:
    """The protocol of a configuration with its parameters.

    Raises:
        ConfigError: it has no such parameter, or no use for so many edges.
    """
    name = config.protocol
    made = find("protocol", name, PROTOCOLS)
    takes = {each.name for each in fields(made)} if is_dataclass(made) else set()
    given = {option: getattr(config, option) for option in ("cut", "cooperation", "num_candidates")}
    given = {option: value for option, value in given.items() if value is not None}
    if misfits := [option for option in given if option not in takes]:
        raise ConfigError(f"{misfits[0]}: {name} has no use for it; leave it out or choose another protocol")
    protocol: Protocol = guarded("protocol", made, **given) if isinstance(made, type) else made
    require_members("protocol", protocol, ("sends", "max_edges", "plan"))
    if len(network.edges) > max(protocol.max_edges, 1):
        several = ", ".join(key for key, other in PROTOCOLS.items() if other.max_edges > 1)
        raise ConfigError(f"num_edges: {name} has no use for {len(network.edges)} edges; give 1 or one of {several}")
    return protocol


def binding_of(config: GenerationConfig, protocol: Protocol, model: DiffusionModel, network: Network) -> Binding:
    """What the codecs of a configuration are bound to."""
    snr = float("inf") if config.fading == IDEAL else db_to_linear(mean_snr_db(config))
    uses = config.num_channel_uses
    return Binding(protocol, model, downlink(network), snr, tuple(config.prompts), uses, config.picture_strength)


def codecs_of(config: GenerationConfig, protocol: Protocol) -> Codecs:
    """The codecs of a configuration, not bound yet.

    Raises:
        ConfigError: a name is unknown, or the protocol sends no such tensor.
    """
    kinds = {kind: kind for kind in CODECS}
    if unknown := sorted((set(protocol.sends) | set(config.codec)) - set(kinds)):
        raise ConfigError(f"codec: {unknown[0]!r} is no tensor that is sent; choose one of {', '.join(sorted(CODECS))}")
    named = {kinds[kind]: name for kind, name in config.codec.items() if kind in protocol.sends}
    return Codecs(**{kind: _codec(kind, name, config.num_channel_uses) for kind, name in named.items()})


def _codec(kind: Kind, name: str, num_channel_uses: int | None) -> AnyCodec:
    found: Any = find(f"codec.{kind}", name, CODECS[kind])
    # A class of the user's may have a number of channel uses without a default.
    required = num_channel_uses is not None and is_dataclass(found) and name not in CODECS[kind]
    takes = required and any(each.name == "num_channel_uses" for each in fields(found))
    codec: AnyCodec = guarded(f"codec.{kind}", found, **({"num_channel_uses": num_channel_uses} if takes else {}))
    return codec


def _name_of(kind: Kind, codec: AnyCodec) -> str:
    return next((name for name, make in CODECS[kind].items() if make() == codec), type(codec).__name__)


def _without_symbols(sent: Mapping[Kind, str], binding: Binding) -> str:
    """That no symbols are sent, and which codecs would send some."""
    kind = next((kind for kind in sent if kind != "prompt"), None)
    if kind is None:
        return "it needs symbols, and none are sent; choose another protocol"
    names = [name for name in CODECS[kind] if _sends_symbols(kind, name, binding)]
    choice = " or ".join(f"{kind}={name}" for name in names[:2]) or "another protocol"
    return f"it needs symbols, and {kind}={sent[kind]} sends bits; choose {choice}"


def _sends_symbols(kind: Kind, name: str, binding: Binding) -> bool:
    try:
        return bind(CODECS[kind][name](), binding.content(kind)).emits is Symbols
    except (ConfigError, ModelError):
        return False


def _check_use(config: GenerationConfig, plan: Plan, sent: Mapping[Kind, str]) -> None:
    if unused := sorted(set(config.codec) - set(sent)):
        raise ConfigError(
            f"codec: {config.protocol} sends no {unused[0]!r}, it sends {' and '.join(sent) or 'nothing'}"
        )
    if config.num_channel_uses is not None and not set(sent) - {"prompt"}:
        raise ConfigError(f"num_channel_uses: {config.protocol} sends no content; leave it out")
    if config.image is not None and not any(PICTURE in step.needs for step in plan.steps):
        raise ConfigError(f"image: {config.protocol} has no use for it; leave it out or choose another protocol")
