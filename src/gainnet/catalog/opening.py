"""From records of texts to the objects that they name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, final

from torch import Tensor

from gainnet.catalog.construct import Constructor
from gainnet.catalog.families import entry, parse, read_of, table_of
from gainnet.catalog.grammar import Call, write
from gainnet.catalog.parameters import parameters_of
from gainnet.catalog.records import IDEAL, GenerationConfig
from gainnet.codecs import AnyCodec, Codecs, Kind
from gainnet.codecs.picture_file import read_colours
from gainnet.core.errors import ConfigError, check_range
from gainnet.core.report import Report
from gainnet.generation.arguments import check_arguments, strength_of, texts_of
from gainnet.generation.cell import MAX_EDGES, Cell, Over
from gainnet.generation.duration import Pace, expected_wall_s, watched
from gainnet.generation.generate import Generation, estimate, generate
from gainnet.generation.memory import Memory
from gainnet.generation.picture import fit_picture
from gainnet.generation.planning import Planned, check_choices, make_plan, shapes_of
from gainnet.models.diffusion import Decoder, DiffusionModel
from gainnet.models.loading import find_folder, load_model, sampling_of
from gainnet.models.runtime import on_runtime
from gainnet.models.shipped import suited_model
from gainnet.network import Hardware, cell, profile
from gainnet.network.file import NetworkTable, network_of, read_network
from gainnet.network.sharing import shared_channel
from gainnet.power_control import load_policy, pretrained_names
from gainnet.protocols import Pricing, Protocol, pricing
from gainnet.protocols.protocol import HandsOver
from gainnet.radio import Air, AnyLink, Arq, Delivery, PowerPolicy, Radios, Reports, SnrTrace

KINDS: Final[tuple[Kind, ...]] = ("prompt", "seed", "midway", "sketch", "image", "correction")
_OPTIONS: Final = ("cut", "cooperation", "num_candidates")
"""Parameters of protocols that are options of their own, too."""
_RUN_ONLY: Final = ("picture", "failures", "random_seed", "decoder")
"""Arguments of `generate` that `estimate` does not take, since nothing runs."""


@final
@dataclass(frozen=True, eq=False)
class Request:
    """A configuration as objects: the arguments of `generate`, which describes them."""

    prompts: tuple[str, ...]
    model: DiffusionModel
    protocol: Protocol
    codecs: Codecs
    air: Over
    num_channel_uses: int | None
    picture: Tensor | None
    strength: float | None
    deadline_s: float
    failures: tuple[tuple[str, int], ...]
    priced_as: Pricing
    random_seed: int
    decoder: Decoder | None = None

    def generate(self, watch: Callable[[str], None] = lambda label: None, memory: Memory | None = None) -> Generation:
        """The pictures, made for real; `watch` and `memory` as there."""
        return generate(**vars(self), watch=watch, memory=memory)

    def estimate(self) -> Report:
        """Expected cost of the generation."""
        shared = {name: value for name, value in vars(self).items() if name not in _RUN_ONLY}
        return estimate(**shared)

    def expected_wall_s(self) -> float:
        """Seconds that `generate` takes on this machine, with the work that only serves the comparison."""
        given = shapes_of(self.prompts, self.model, self.strength)
        return expected_wall_s(self.make_plan(), self.model, Pace.of(self.model), given, len(self.prompts))

    def watched(self, watch: Callable[[str], None]) -> AbstractContextManager[None]:
        """Calls `watch` with every step of a denoiser meanwhile."""
        return watched(self.make_plan().plan, self.model, len(self.prompts), watch)

    def make_plan(self) -> Planned:
        """Network and plan."""
        return make_plan(
            self.air, self.protocol, self.model, self.prompts, self.codecs, self.num_channel_uses, self.strength,
            self.deadline_s,
        )  # fmt: skip


@final
@dataclass(frozen=True)
class Recordings:
    """Contents of the files that a configuration names, for a node that was sent the numbers and has no file.

    Args:
        snr_trace: in the place of `trace`.
        delivery_ms: in the place of `delivery`, times of a packet-delivery trace in milliseconds.
        network: tables in the place of `network`.
    """

    snr_trace: SnrTrace | None = None
    delivery_ms: tuple[int, ...] | None = None
    network: NetworkTable | None = None


def recordings_of(config: GenerationConfig) -> Recordings:
    """The contents of the files that a configuration names; raises `ConfigError` when one cannot be read."""
    return Recordings(
        None if config.trace is None else _trace(config.trace),
        None if config.delivery is None else _delivery(config.delivery),
        None if config.network is None else read_network(Path(config.network)),
    )


def open_request(
    config: GenerationConfig, model: DiffusionModel | None = None, recordings: Recordings | None = None
) -> Request:
    """The objects that a configuration names.

    Args:
        config: texts.
        model: an opened model in the place of the one that is named.
        recordings: what its files hold; they are read where that is `None`.

    Raises:
        GainnetError: a name, an argument or a number is wrong, or a file cannot be read.
    """
    texts = texts_of(config.prompts)
    # Devices of a cell ask at once: item k is device k's, prompts repeat in turn.
    prompts = tuple(texts[k % len(texts)] for k in range(max(config.num_devices, len(texts))))
    deadline_s = math.inf if config.deadline_s is None else config.deadline_s
    check_arguments(config.num_channel_uses, config.strength, deadline_s, config.failures, config.random_seed)
    protocol, codecs, priced_as = protocol_of(config), codecs_of(config), pricing(config.priced_as)
    air = air_of(config, recordings)
    check_choices(air, protocol, codecs, config.num_channel_uses, config.failures)
    colours = None if config.image is None else read_colours(Path(config.image))
    # Last, since loading takes seconds: what is wrong is said before.
    if model is None:
        name = suited_model(texts) if config.model is None else config.model
        _check_cut(protocol, name, config)
        model = load(
            name, config.num_steps, config.guidance_scale, config.torch_device, config.online, config.height,
            config.width,
        )  # fmt: skip
        model = on_runtime(model, config.runtime)
    picture = None if colours is None else fit_picture(colours, model.image)
    return Request(
        prompts, model, protocol, codecs, air, config.num_channel_uses, picture,
        strength_of(picture, config.strength), deadline_s, config.failures, priced_as, config.random_seed,
    )  # fmt: skip


def _check_cut(protocol: Protocol, name: str, config: GenerationConfig) -> None:
    """Raises `ConfigError` for a cut beyond the steps of a model, which its folder states without its weights."""
    cut = getattr(protocol, "cut", None)
    if isinstance(protocol, HandsOver) and isinstance(cut, int) and ":" not in name:
        steps, _ = sampling_of(find_folder(name, config.online), config.num_steps, config.guidance_scale)
        if not 0 <= cut <= steps:
            raise ConfigError(f"cut: {cut} is outside 0 to {steps}, the steps that run")


def load(
    name: str = "scenes",
    num_steps: int | None = None,
    guidance_scale: float | None = None,
    torch_device: str = "cpu",
    online: bool = False,
    height: int | None = None,
    width: int | None = None,
) -> DiffusionModel:
    """The generative model of a name.

    Args:
        name: `scenes` (shipped), a folder in diffusers' format, a hub id, or `module:function` that returns one.
        num_steps: sampler steps, 1 to 1000; the model's own default when `None`.
        guidance_scale: classifier-free guidance, 1 to 100; the model's own default when `None`.
        torch_device: where torch runs it.
        online: whether a hub id may be downloaded; otherwise the local cache has to hold it.
        height: of the picture in pixels; the model's own when `None`.
        width: likewise; both or none.

    Raises:
        ModelError: there is none, or its files are damaged or hold a pickle or code.
        ConfigError: a number is out of range, torch has no such device, or the function returns something else.

    >>> load(num_steps=2).name
    'scenes'
    """
    if ":" not in name:
        return load_model(name, num_steps, guidance_scale, torch_device, online, height, width)
    asked = {"num_steps": num_steps, "guidance_scale": guidance_scale, "height": height, "width": width}
    if given := [field for field, value in asked.items() if value is not None]:
        raise ConfigError(f"{', '.join(given)}: {name} decides them itself; leave them out")
    built = parse("model", name)
    if not isinstance(built, DiffusionModel):
        raise ConfigError(f"model: {name} returned a {type(built).__name__}, not a DiffusionModel")
    return built


def load_for(prompts: str | Sequence[str], num_steps: int | None = None, torch_device: str = "cpu") -> DiffusionModel:
    """The shipped model that knows most words of prompts, which `gainnet generate` takes when none is named.

    Args:
        prompts: one text, or several for a batch.
        num_steps: sampler steps, 1 to 1000; the model's own default when `None`.
        torch_device: where torch runs it.

    Raises:
        ConfigError: a prompt or a number is out of range, or torch has no such device.

    >>> load_for("a green heart at night").name
    'scenes'
    """
    return load(suited_model(texts_of(prompts)), num_steps, torch_device=torch_device)


def protocol_of(config: GenerationConfig) -> Protocol:
    """The protocol of a configuration, with the parameters that are options of their own.

    Raises:
        ConfigError: there is none, or it has no such parameter.
    """
    term = read_of("protocol", config.protocol)
    options = {name: getattr(config, name) for name in _OPTIONS if getattr(config, name) is not None}
    if isinstance(term, Call) and options:
        found = entry("protocol", term.name)
        takes = parameters_of(found) if callable(found) else {}
        if misfits := [name for name in options if name not in takes]:
            raise ConfigError(f"{misfits[0]}: {term.name} has no use for it; leave it out or choose another protocol")
        term = Call(term.name, {**term.arguments, **options})
    protocol: Protocol = parse("protocol", write(term))
    return protocol


def codecs_of(config: GenerationConfig) -> Codecs:
    """The codecs of a configuration; those that it does not name are chosen later, to suit their content.

    Raises:
        ConfigError: a name or an argument is wrong.
    """
    if unknown := sorted(set(config.codec) - set(KINDS)):
        raise ConfigError(f"codec: {unknown[0]!r} is no tensor that is sent; choose one of {', '.join(sorted(KINDS))}")
    named = {kind: _codec(f"codec.{kind}", text, config) for kind, text in config.codec.items()}
    return Codecs(**named)


def _codec(family: str, text: str, config: GenerationConfig) -> AnyCodec:
    # A class of the user's may need the number of channel uses, which all others are bound to later.
    offered = {} if config.num_channel_uses is None else {"num_channel_uses": config.num_channel_uses}
    codec: AnyCodec = Constructor(entry, offered=offered).make(family, read_of(family, text))
    return codec


def air_of(config: GenerationConfig, recordings: Recordings | None = None) -> Over:
    """The cell of a configuration, or the network of its file; arguments as `open_request`.

    Raises:
        ConfigError: a name, an argument or a number is wrong, or a file cannot be read.
    """
    found = recordings_of(config) if recordings is None else recordings
    if found.network is not None:
        return network_of(found.network, partial(_bearers, config, found.snr_trace))
    device, edge = profile(config.hardware), profile(config.edge_hardware, "edge_hardware")
    if found.delivery_ms is not None:
        check_range(1 <= config.num_edges <= MAX_EDGES, "num_edges", config.num_edges, f"1 to {MAX_EDGES}")
        times_ms = found.delivery_ms
        up = Delivery(times_ms, Radios(device.tx_power_w, edge.rx_power_w), "up")
        down = Delivery(times_ms, Radios(edge.tx_power_w, device.rx_power_w), "down")
        return cell(edge, device, (up,), (down,), config.num_edges)
    return Cell(
        _air(config, trace=found.snr_trace), config.num_edges, device, edge, Arq(harq=config.harq), _power(config),
        config.edge_power,
    )  # fmt: skip


def _bearers(
    config: GenerationConfig,
    trace: SnrTrace | None,
    settings: Mapping[str, Any],
    medium: str,
    source: Hardware,
    target: Hardware,
) -> tuple[AnyLink, ...]:
    """Links over an air of a network file; what the file leaves open is as in the configuration."""
    own = replace(config, **settings)
    air = _air(own, medium, trace)
    return Cell(air, arq=Arq(harq=own.harq), power=_power(own)).links(source, target)


def _air(config: GenerationConfig, medium: str = "air", trace: SnrTrace | None = None) -> Air:
    if config.fading == IDEAL:
        return Air(snr_db=math.inf, bandwidth_hz=config.bandwidth_hz, medium=medium)
    reports = Reports(config.report_error_db, config.report_delay)
    fading, snr_db = parse("fading", config.fading, beside=(IDEAL,)), config.snr_db
    if trace is not None:
        fading = trace
        snr_db = trace.mean_snr_db
    shared = shared_channel(fading, config.num_devices, config.scheduler)
    return Air(shared, snr_db, config.bandwidth_hz, reports, medium)


def power_of(text: str) -> PowerPolicy:
    """The power policy of a name, of a folder that `gainnet train power-control` wrote, or of `module:Class`.

    Raises:
        ConfigError: there is none of that name.
        ModelError: the folder is damaged.
    """
    if text not in table_of("power") and (text in pretrained_names() or (text and Path(text).is_dir())):
        return load_policy(text)
    if "/" in text and ":" not in text:
        raise ConfigError(f"power: there is no folder {text}; give one that train power-control wrote, or a name")
    policy: PowerPolicy = parse("power", text)
    return policy


def _power(config: GenerationConfig) -> PowerPolicy | None:
    return None if config.power is None else power_of(config.power)


@lru_cache(maxsize=4)
def _trace(path: str) -> SnrTrace:
    return SnrTrace.read(Path(path))


@lru_cache(maxsize=4)
def _delivery(path: str) -> tuple[int, ...]:
    return Delivery.read(Path(path))
