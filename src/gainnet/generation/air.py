"""The air that a configuration asks for: channel, mean SNR, bearers, and what SNRs to expect."""

from __future__ import annotations

import math
import sys
from functools import lru_cache
from pathlib import Path
from typing import Final

from gainnet.codecs.rate_matched import typical_rayleigh_snrs
from gainnet.core.plugins import find, guarded, require_members
from gainnet.core.randomness import Random
from gainnet.core.types import Bits
from gainnet.core.units import db_to_linear
from gainnet.generation.config import IDEAL, GenerationConfig
from gainnet.network.hardware import Hardware
from gainnet.network.network import Network
from gainnet.network.scenario import DEVICE
from gainnet.network.sharing import shared_channel
from gainnet.power_control import power_policy
from gainnet.radio import (
    AWGN,
    CHANNELS,
    AnalogLink,
    DigitalLink,
    IdealLink,
    Powered,
    Rayleigh,
    Selective,
    SnrTrace,
)
from gainnet.radio.air import observe
from gainnet.radio.channel import Channel, coherent_uses
from gainnet.radio.link import AnyLink

NUM_DRAWN_STATES: Final = 64


def bearers(config: GenerationConfig, source: Hardware, target: Hardware) -> tuple[AnyLink, ...]:
    """What one node reaches another with over the air: bits, and symbols.

    Raises:
        ConfigError: the fading is unknown or broken, or the trace cannot be read.
    """
    if config.fading == IDEAL:
        return IdealLink(), AnalogLink(AWGN(), math.inf, config.bandwidth_hz)
    air = channel_of(config), mean_snr_db(config), config.bandwidth_hz, source.tx_power_w, target.rx_power_w
    error_db, late = config.report_error_db, config.report_delay
    powered = _powered(config, air[0])
    analog = AnalogLink(powered, *air[1:], report_error_db=error_db, report_delay_blocks=late)
    return DigitalLink(*air, report_error_db=error_db, report_delay_blocks=late, harq=config.harq), analog


def channel_of(config: GenerationConfig) -> Channel:
    """Fading as one of the devices sees it: of a trace where there is one."""
    if config.trace is not None:
        return shared_channel(_read_trace(config.trace), config.num_devices, config.scheduler)
    channel: Channel = guarded("fading", find("fading", config.fading, CHANNELS))
    require_members("fading", channel, ("block_length", "first_gain", "transmit"))
    return shared_channel(channel, config.num_devices, config.scheduler)


def _powered(config: GenerationConfig, channel: Channel) -> Channel:
    """The channel of symbols, at the power of the policy that was asked for."""
    return channel if config.power is None else Powered(channel, power_policy(config.power))


def mean_snr_db(config: GenerationConfig) -> float:
    """Mean received Es/N0: what was asked for, or that of the trace."""
    return config.snr_db if config.trace is None else _read_trace(config.trace).mean_snr_db


def downlink(network: Network) -> AnyLink:
    """The link that content comes to the device over, as bits: that of the first edge."""
    return network.link(network.edges[0], DEVICE, Bits)


def block_length(link: AnyLink) -> int:
    """Channel uses of which one report speaks."""
    return coherent_uses(link.channel) if isinstance(link, DigitalLink) else sys.maxsize


def typical_snrs(link: AnyLink) -> tuple[float, ...]:
    """Equally likely linear SNRs of a block: one without fading, quantiles for Rayleigh, draws for all others.

    >>> typical_snrs(IdealLink())
    (1.0,)
    """
    if not isinstance(link, DigitalLink):
        return (1.0,)
    mean, channel = db_to_linear(link.snr_db), link.channel
    if isinstance(channel, AWGN):
        return (mean,)
    if isinstance(channel, Rayleigh):
        return typical_rayleigh_snrs(mean)
    if isinstance(channel, Selective):
        analog = AnalogLink(channel, link.snr_db)
        return tuple(observe(analog, Random.of(range(NUM_DRAWN_STATES))).reported_snr.tolist())
    gains = guarded("fading", channel.first_gain, Random.of(range(NUM_DRAWN_STATES)))
    return tuple((mean * gains.abs().square()).tolist())


def heard(config: GenerationConfig, link: AnyLink) -> tuple[str, float]:
    """Name of the fading and mean SNR in dB of the link that the content came over, wherever they were asked for.

    >>> heard(GenerationConfig(("a red star",), fading="rayleigh", snr_db=5.0), DigitalLink(AWGN(), 5.0))
    ('rayleigh', 5.0)
    """
    if not isinstance(link, DigitalLink):
        return IDEAL, config.snr_db
    if config.trace is not None:
        return "trace", link.snr_db
    known = (name for name, kind in CHANNELS.items() if type(link.channel) is kind)
    name = config.fading if config.network is None else next(known, type(link.channel).__name__.lower())
    return name, link.snr_db


@lru_cache(maxsize=4)
def _read_trace(path: str) -> SnrTrace:
    return SnrTrace.read(Path(path))
