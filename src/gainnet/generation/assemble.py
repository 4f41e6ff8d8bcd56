"""From a configuration to the objects it names: model, network, codecs, plan."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from gainnet.codecs import (
    AVIF,
    JPEG,
    PNG,
    AnalogSketch,
    EdgeMap,
    Float32,
    LinearCode,
    MatchedSeed,
    QuantizedSeed,
    QuantizedSketch,
    RawAnalog,
    RawPixels,
    SeedBasis,
    SeedCodec,
    SeedWeights,
    TextCodec,
    TransformSeed,
    TransformWeights,
    UniformQuantizer,
    WebP,
)
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.rate_matched import RateMatched
from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.plugins import find, guarded, require_members
from gainnet.core.types import Bits, Symbols
from gainnet.generation.air import bearers, block_length, downlink, mean_snr_db, typical_snrs
from gainnet.generation.budget import Budget
from gainnet.generation.config import IDEAL, GenerationConfig
from gainnet.generation.least import check_fits
from gainnet.models.completing import noise_level
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import SHIPPED
from gainnet.models.sketches import PictureSketch
from gainnet.network import Network, cell, profile
from gainnet.network.file import network_of
from gainnet.network.scenario import wire_between
from gainnet.protocols import PROTOCOLS
from gainnet.protocols.deadline import within
from gainnet.protocols.plan import Plan, Transfer
from gainnet.protocols.task import Task
from gainnet.radio import Ideal
from gainnet.radio.links.link import AnyLink

DEFAULTS = {"prompt": "text", "image": "webp", "seed": "linear", "midway": "raw", "sketch": "quantized"}
MATCHED, MATCHED_BELOW_DB = "matched", 10.0
"""Codec of the latent that a device of `ciag` finishes, and the mean SNR up to which it is the default. It beats an
MMSE estimate that is taken as clean by 1 dB or more up to 5 dB (study hand-over); far above 10 dB the estimate is
better, since a sampler that resumes between its own times makes a slightly other picture."""
FIXED = ("float32", "raw_pixels", "uniform", "edges", MATCHED)
"""Codecs that cannot be told how much to send."""


@final
@dataclass(frozen=True)
class Content:
    """What a codec is built for.

    Args:
        model: whose tensors it carries.
        num_channel_uses: complex uses per item; its own choice when `None`.
        downlink: digital bearer that its bits would travel on.
        snrs: equally likely linear SNRs of that bearer.
        block_length: channel uses with one fading gain.
        prompt_bytes: mean length of the prompts.
        prompts: of the items, which both ends know.
        midway_step: steps that the sampler has taken when a latent is handed over.
    """

    model: DiffusionModel
    num_channel_uses: int | None
    downlink: AnyLink
    snrs: tuple[float, ...]
    block_length: int
    prompt_bytes: float
    prompts: tuple[str, ...]
    midway_step: int = 0

    def matched(self, codec_of: Callable[[float], AnyCodec], default: AnyCodec) -> AnyCodec:
        """A codec that fills the channel uses that were asked for, else the default."""
        if self.num_channel_uses is None:
            return default
        budget = Budget.of(self.downlink, self.num_channel_uses, self.block_length, self.snrs)
        return RateMatched(codec_of, budget, self.snrs)

    def check_fits(self, kind: str, name: str, codec: AnyCodec) -> None:
        """Raises `ConfigError` when a codec can send nothing with the channel uses that were asked for."""
        if self.num_channel_uses is None or not isinstance(codec, RateMatched):
            return
        shapes = {"image": self.model.image, "sketch": PictureSketch(self.model.image).writes["sketch"]}
        best = max(self.snrs)

        def capacity_bits(num_channel_uses: int) -> float:
            return Budget.of(self.downlink, num_channel_uses, self.block_length, self.snrs)(best)

        spec = shapes.get(kind, self.model.latent)
        check_fits(f"{kind}={name}", codec, spec, len(self.prompts), best, capacity_bits)

    def basis(self) -> SeedBasis:
        """Principal components that fit the model; raises `ModelError` when there are none."""
        return SeedBasis.load(self.model.name, self.model.sha256)

    def learned_seed(self, prompts: tuple[str, ...] | None) -> AnyCodec:
        """Learned symbols, told the prompts or not; raises `ModelError` when no weights fit the model."""
        weights = SeedWeights.load(self.model.name, self.model.sha256)
        return SeedCodec(weights, self.num_channel_uses or math.ceil(self.model.latent.num_values / 4), prompts)

    def transform_seed(self, prompts: tuple[str, ...] | None) -> AnyCodec:
        """Transform-coded seeds, told the prompts or not; raises `ModelError` when no weights fit the model."""
        weights = TransformWeights.load("transform_seed", self.model.sha256)
        return self.matched(
            lambda bits: TransformSeed(weights, bits, prompts=prompts), TransformSeed(weights, prompts=prompts)
        )

    def latent_root_mean_square(self) -> float:
        """Of the latents that the model makes; 1 (assumed, as diffusers scales them so) where nobody measured it."""
        try:
            return self.basis().root_mean_square
        except ModelError:
            return 1.0

    def midway_root_mean_square(self) -> float:
        r"""Of the latent that is handed over: $\sqrt{\alpha_t^2 r^2 + \sigma_t^2}$ with r of the finished ones."""
        alpha, sigma = noise_level(self.model.pipeline.scheduler, self.midway_step)
        return math.hypot(alpha * self.latent_root_mean_square(), sigma)


Builder = Callable[[Content], AnyCodec]

CODECS: Mapping[str, Mapping[str, Builder]] = {
    "prompt": {"text": lambda c: TextCodec(expected_bytes=c.prompt_bytes)},
    "seed": {
        "raw": lambda c: RawAnalog(c.num_channel_uses, scale=c.latent_root_mean_square()),
        "linear": lambda c: LinearCode(c.basis(), c.num_channel_uses or math.ceil(c.model.latent.num_values / 2)),
        "digital": lambda c: c.matched(lambda bits: QuantizedSeed(c.basis(), max_bits=bits), QuantizedSeed(c.basis())),
        "seed": lambda c: c.learned_seed(None),
        "seed_prompt": lambda c: c.learned_seed(c.prompts),
        "transform": lambda c: c.transform_seed(None),
        "transform_prompt": lambda c: c.transform_seed(c.prompts),
        "float32": lambda c: Float32(),
    },
    "midway": {
        "raw": lambda c: RawAnalog(c.num_channel_uses, scale=c.midway_root_mean_square()),
        MATCHED: lambda c: MatchedSeed(scale=c.midway_root_mean_square()),
        "uniform": lambda c: UniformQuantizer(),
        "float32": lambda c: Float32(),
    },
    "sketch": {
        "quantized": lambda c: c.matched(lambda bits: QuantizedSketch(max_bits=bits), QuantizedSketch()),
        "analog": lambda c: AnalogSketch(c.num_channel_uses),
        "edges": lambda c: EdgeMap(),
        "raw_pixels": lambda c: RawPixels(),
        "float32": lambda c: Float32(),
    },
    "image": {
        "jpeg": lambda c: c.matched(lambda bits: JPEG(max_bits=bits), JPEG()),
        "png": lambda c: c.matched(lambda bits: PNG(max_bits=bits), PNG()),
        "webp": lambda c: c.matched(lambda bits: WebP(max_bits=bits), WebP()),
        "avif": lambda c: c.matched(lambda bits: AVIF(max_bits=bits), AVIF()),
        "raw_pixels": lambda c: RawPixels(),
        "float32": lambda c: Float32(),
    },
}


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
    """The plan of the protocol that was asked for, with its codecs; see `assemble`."""
    return assemble(config, model, network)[0]


def assemble(config: GenerationConfig, model: DiffusionModel, network: Network) -> tuple[Plan, dict[str, str]]:
    """The plan of the protocol that was asked for, and the names of the codecs that it uses.

    Raises:
        ConfigError: something was asked for that the protocol has no use for.
    """
    protocol = find("protocol", config.protocol, PROTOCOLS)
    names = codec_names(config, model)
    content = _content(config, model, network)
    plan, codecs = _planned(config, protocol, names, content, network)
    if "midway" in codecs and (step := _midway_step(plan, codecs["midway"], config, model)):
        plan, codecs = _planned(config, protocol, names, replace(content, midway_step=step), network)
    used = [step.codec for step in plan.steps if isinstance(step, Transfer)]
    sent = {kind: names[kind] for kind, codec in codecs.items() if any(codec is other for other in used)}
    _check_use(config, sent)
    for kind, name in sent.items():
        content.check_fits(kind, name, codecs[kind])
    if config.power is not None and not any(codec.emits is Symbols for codec in used):
        raise ConfigError(f"power: {_without_symbols(sent, content)}, or leave power out")
    return (plan if config.deadline_s is None else within(plan, config.deadline_s)), sent


def open_plan(config: GenerationConfig, model: DiffusionModel) -> tuple[Network, Plan, dict[str, str]]:
    """Network, plan and names of its codecs; says at once what keeps air and codecs from following a power policy.

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


def _planned(
    config: GenerationConfig,
    protocol: Callable[..., Plan],
    names: Mapping[str, str],
    content: Content,
    network: Network,
) -> tuple[Plan, dict[str, AnyCodec]]:
    codecs = {kind: _codec(kind, name, content) for kind, name in names.items()}
    options = options_of(protocol, config, network)
    given = {f"{kind}_codec": codec for kind, codec in codecs.items()}
    plan = guarded("protocol", protocol, content.model, **given, **options)
    if not isinstance(plan, Plan):
        raise ConfigError(f"protocol: {config.protocol} returned a {type(plan).__name__}, not a Plan")
    return plan, codecs


def _midway_step(plan: Plan, codec: AnyCodec, config: GenerationConfig, model: DiffusionModel) -> int:
    """Steps of the whole sampler before the latent that a codec carries, read off its name; see `Task.latent`."""
    sent = [step.tensor for step in plan.steps if isinstance(step, Transfer) and step.codec is codec]
    taken = [int(found.group(1)) for tensor in sent if (found := re.search(r"\[(\d+)\]$", tensor))]
    first = Task.of(model, config.picture_strength).denoiser.start
    return first + taken[0] if taken else 0


def _without_symbols(sent: Mapping[str, str], content: Content) -> str:
    """That no symbols are sent, and what would send some."""
    kind = next((kind for kind in sent if kind != "prompt"), None)
    if kind is None:
        return "it needs symbols, and none are sent; choose another protocol"
    names = [name for name, build in CODECS[kind].items() if _sends_symbols(build, content)]
    choice = " or ".join(f"{kind}={name}" for name in names[:2]) or "another protocol"
    return f"it needs symbols, and {kind}={sent[kind]} sends bits; choose {choice}"


def _sends_symbols(build: Builder, content: Content) -> bool:
    try:
        return build(content).emits is Symbols
    except (ConfigError, ModelError):
        return False


def _check_use(config: GenerationConfig, sent: Mapping[str, str]) -> None:
    if unused := sorted(set(config.codec) - set(sent)):
        raise ConfigError(
            f"codec: {config.protocol} sends no {unused[0]!r}, it sends {' and '.join(sent) or 'nothing'}"
        )
    if config.num_channel_uses is not None and not set(sent) - {"prompt"}:
        raise ConfigError(f"num_channel_uses: {config.protocol} sends no content; leave it out")


def options_of(protocol: Callable[..., Plan], config: GenerationConfig, network: Network) -> dict[str, Any]:
    """What a protocol is told besides its codecs, read from its parameters: `edges`, `cut`, `strength`, and so on.

    Raises:
        ConfigError: something was asked for that it has no parameter for.
    """
    takes, name = inspect.signature(protocol).parameters, config.protocol
    if "edges" not in takes and len(network.edges) > 1:
        several = ", ".join(key for key, p in PROTOCOLS.items() if "edges" in inspect.signature(p).parameters)
        raise ConfigError(f"num_edges: {name} has no use for {len(network.edges)} edges; give 1 or one of {several}")
    strength = config.picture_strength
    asked: dict[str, Any] = {
        "cut": config.cut,
        "cooperation": config.cooperation,
        "num_candidates": config.num_candidates,
        "strength": strength,
    }
    given = {option: value for option, value in asked.items() if value is not None}
    if misfits := [option for option in given if option not in takes]:
        field = "image" if misfits[0] == "strength" else misfits[0]
        raise ConfigError(f"{field}: {name} has no use for it; leave it out or choose another protocol")
    return given | ({"edges": network.edges} if "edges" in takes else {})


def codec_names(config: GenerationConfig, model: DiffusionModel) -> dict[str, str]:
    """Which codec carries what the protocol sends, defaults resolved.

    Raises:
        ConfigError: the protocol sends something for which there are no codecs.
    """
    kinds = codecs_of(find("protocol", config.protocol, PROTOCOLS))
    if unknown := sorted((set(kinds) | set(config.codec)) - set(CODECS)):
        raise ConfigError(f"codec: {unknown[0]!r} is no tensor that is sent; choose one of {', '.join(sorted(CODECS))}")
    return {kind: config.codec.get(kind) or _default_name(kind, config, model) for kind in kinds}


def codecs_of(protocol: Callable[..., Plan]) -> tuple[str, ...]:
    """What a protocol sends, read from its parameters `prompt_codec`, `seed_codec`, `image_codec`.

    Raises:
        ConfigError: the protocol cannot be called.

    >>> codecs_of(PROTOCOLS["eiug"])
    ('prompt', 'seed')
    """
    if not callable(protocol):
        raise ConfigError(
            f"protocol: a {type(protocol).__name__} cannot be called; give a function that returns a Plan"
        )
    names = inspect.signature(protocol).parameters
    return tuple(name.removesuffix("_codec") for name in names if name.endswith("_codec"))


def _content(config: GenerationConfig, model: DiffusionModel, network: Network) -> Content:
    link = downlink(network)
    return Content(
        model,
        config.num_channel_uses,
        link,
        typical_snrs(link),
        block_length(link),
        sum(len(prompt.encode()) for prompt in config.prompts) / len(config.prompts),
        tuple(config.prompts),
    )


def _default_name(kind: str, config: GenerationConfig, model: DiffusionModel) -> str:
    """Lossless where nothing is lost; a linear seed where the principal components of the model are known."""
    if config.fading == IDEAL and kind != "prompt" and config.num_channel_uses is None:
        return "float32"
    if kind == "midway" and config.protocol == "ciag" and _is_noisy(config):
        return MATCHED
    if kind != "seed" or model.name in SHIPPED:
        return DEFAULTS[kind]
    try:
        SeedBasis.load(model.name, model.sha256)
    except ModelError:
        return "raw"
    return DEFAULTS[kind]


def _is_noisy(config: GenerationConfig) -> bool:
    return config.num_channel_uses is None and mean_snr_db(config) < MATCHED_BELOW_DB


def _codec(kind: str, name: str, content: Content) -> AnyCodec:
    if kind != "prompt" and name in FIXED and content.num_channel_uses is not None:
        raise ConfigError(f"num_channel_uses: {name} takes what it takes; leave the number out or choose another codec")
    found = find(f"codec.{kind}", name, CODECS[kind])
    return found(content) if name in CODECS[kind] else _plugged(f"codec.{kind}", found, content)


def _plugged(field: str, codec_class: Any, content: Content) -> AnyCodec:
    """A codec of the user's; it is told `num_channel_uses` when a number was asked for."""
    takes_uses = "num_channel_uses" in guarded(field, inspect.signature, codec_class).parameters
    asked = content.num_channel_uses is not None
    if asked and not takes_uses and field != "codec.prompt":
        named = getattr(codec_class, "__name__", codec_class)
        raise ConfigError(f"num_channel_uses: {named} has no such field; leave the number out or choose another codec")
    options = {"num_channel_uses": content.num_channel_uses} if asked and takes_uses else {}
    codec: AnyCodec = guarded(field, codec_class, **options)
    require_members(field, codec, ("emits", "size", "encode", "decode"))
    if codec.emits not in (Bits, Symbols):
        raise ConfigError(f"{field}: {type(codec).__name__}.emits must be Bits or Symbols")
    return codec
