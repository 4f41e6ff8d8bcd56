"""From a configuration to the objects it names: model, network, codecs, plan."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

from gainnet.codecs import (
    AVIF,
    JPEG,
    PNG,
    Float32,
    LinearCode,
    QuantizedSeed,
    RawAnalog,
    RawPixels,
    SeedBasis,
    TextCodec,
    WebP,
)
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.rate_matched import RateMatched, typical_rayleigh_snrs
from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.plugins import find
from gainnet.core.types import Bits
from gainnet.core.units import db_to_linear
from gainnet.generation.budget import Budget
from gainnet.generation.config import GenerationConfig
from gainnet.models.diffusion import DiffusionModel
from gainnet.network import Network, cell, profile
from gainnet.network.hardware import Hardware
from gainnet.network.scenario import DEVICE, EDGE
from gainnet.protocols import PROTOCOLS
from gainnet.protocols.plan import Plan
from gainnet.radio import AWGN, CHANNELS, AnalogLink, DigitalLink, IdealLink
from gainnet.radio.channel import Channel
from gainnet.radio.link import AnyLink

IDEAL = "ideal"
DEFAULT_BITS = {"prompt": "text", "image": "webp", "seed": "linear"}


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
    """

    model: DiffusionModel
    num_channel_uses: int | None
    downlink: AnyLink
    snrs: tuple[float, ...]
    block_length: int
    prompt_bytes: float

    def matched(self, codec_of: Callable[[float], AnyCodec], default: AnyCodec) -> AnyCodec:
        """A codec that fills the channel uses that were asked for, else the default."""
        if self.num_channel_uses is None:
            return default
        budget = Budget.of(self.downlink, self.num_channel_uses, self.block_length, self.snrs)
        return RateMatched(codec_of, budget, self.snrs)

    def basis(self) -> SeedBasis:
        """Principal components that fit the model; raises `ModelError` when there are none."""
        return SeedBasis.load(self.model.name, self.model.sha256)

    def latent_root_mean_square(self) -> float:
        """Of the latents that the model makes; 1 (assumed, as diffusers scales them so) where nobody measured it."""
        try:
            return self.basis().root_mean_square
        except ModelError:
            return 1.0


Builder = Callable[[Content], AnyCodec]

CODECS: Mapping[str, Mapping[str, Builder]] = {
    "prompt": {"text": lambda c: TextCodec(expected_bytes=c.prompt_bytes)},
    "seed": {
        "raw": lambda c: RawAnalog(c.num_channel_uses, scale=c.latent_root_mean_square()),
        "linear": lambda c: LinearCode(c.basis(), c.num_channel_uses or math.ceil(c.model.latent.num_values / 2)),
        "digital": lambda c: c.matched(lambda bits: QuantizedSeed(c.basis(), max_bits=bits), QuantizedSeed(c.basis())),
        "float32": lambda c: Float32(),
    },
    "image": {
        "jpeg": lambda c: c.matched(lambda bits: JPEG(max_bits=bits), JPEG()),
        "png": lambda c: PNG(),
        "webp": lambda c: c.matched(lambda bits: WebP(max_bits=bits), WebP()),
        "avif": lambda c: c.matched(lambda bits: AVIF(max_bits=bits), AVIF()),
        "raw_pixels": lambda c: RawPixels(),
        "float32": lambda c: Float32(),
    },
}


def build_network(config: GenerationConfig) -> Network:
    """Edge and device with a digital uplink, and a downlink that carries bits and symbols over one medium."""
    device, edge = profile(config.hardware), profile(config.edge_hardware)
    if config.fading == IDEAL:
        ideal = (IdealLink(), AnalogLink(AWGN(), math.inf, config.bandwidth_hz))
        return cell(edge, device, ideal, ideal)
    channel = _channel(config.fading)
    return cell(edge, device, _bearers(channel, config, device, edge), _bearers(channel, config, edge, device))


def build_plan(config: GenerationConfig, model: DiffusionModel, network: Network) -> Plan:
    """The plan of the protocol that was asked for, with its codecs."""
    protocol = find("protocol", config.protocol, PROTOCOLS)
    if unknown := sorted(set(config.codec) - set(CODECS)):
        raise ConfigError(f"codec: {unknown[0]!r} is no tensor that is sent; choose one of {', '.join(sorted(CODECS))}")
    content = Content(
        model,
        config.num_channel_uses,
        network.link(EDGE, DEVICE, Bits),
        typical_snrs(config),
        sys.maxsize if config.fading == IDEAL else _channel(config.fading).block_length,
        sum(len(prompt.encode()) for prompt in config.prompts) / len(config.prompts),
    )
    sends = codecs_of(protocol)
    codecs = {f"{kind}_codec": _codec(kind, config, content) for kind in sends}
    plan: Plan = protocol(model, **codecs)
    return plan


def codecs_of(protocol: Callable[..., Plan]) -> tuple[str, ...]:
    """What a protocol sends, read from its parameters `prompt_codec`, `seed_codec`, `image_codec`.

    >>> codecs_of(PROTOCOLS["eiug"])
    ('prompt', 'seed')
    """
    names = inspect.signature(protocol).parameters
    return tuple(name.removesuffix("_codec") for name in names if name.endswith("_codec"))


def _codec(kind: str, config: GenerationConfig, content: Content) -> AnyCodec:
    if kind not in config.codec:
        return _default_codec(kind, config, content)
    name = config.codec[kind]
    found = find(f"codec.{kind}", name, CODECS[kind])
    return found(content) if name in CODECS[kind] else _plugged(found, content)


def _default_codec(kind: str, config: GenerationConfig, content: Content) -> AnyCodec:
    if config.fading == IDEAL and kind != "prompt":
        return Float32()
    try:
        return CODECS[kind][DEFAULT_BITS[kind]](content)
    except ModelError:
        return CODECS["seed"]["raw"](content)


def _plugged(codec_class: Any, content: Content) -> AnyCodec:
    """A codec of the user's; it is told `num_channel_uses` when it has such a field and a number was asked for."""
    takes_uses = "num_channel_uses" in inspect.signature(codec_class).parameters
    asked = content.num_channel_uses is not None and takes_uses
    codec: AnyCodec = codec_class(num_channel_uses=content.num_channel_uses) if asked else codec_class()
    return codec


def _channel(fading: str) -> Channel:
    channel_class: Callable[[], Channel] = find("fading", fading, CHANNELS)
    return channel_class()


def _bearers(channel: Channel, config: GenerationConfig, source: Hardware, target: Hardware) -> tuple[AnyLink, ...]:
    air = channel, config.snr_db, config.bandwidth_hz, source.tx_power_w, target.rx_power_w
    return DigitalLink(*air), AnalogLink(*air)


def typical_snrs(config: GenerationConfig) -> tuple[float, ...]:
    """Equally likely linear SNRs of a block: one without fading, quantiles of an exponential with it."""
    mean = db_to_linear(config.snr_db)
    return (mean,) if config.fading in ("awgn", IDEAL) else typical_rayleigh_snrs(mean)
