"""The air that a configuration asks for: channel, mean SNR, bearers, and what SNRs to expect."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from gainnet.core.plugins import find, guarded, require_members
from gainnet.core.types import Bits
from gainnet.generation.config import IDEAL, GenerationConfig
from gainnet.network.hardware import Hardware
from gainnet.network.network import Network
from gainnet.network.scenario import DEVICE
from gainnet.network.sharing import shared_channel
from gainnet.power_control import power_policy
from gainnet.radio import (
    AWGN,
    CHANNELS,
    Air,
    Analog,
    Arq,
    Channel,
    Digital,
    Ideal,
    Powered,
    Radios,
    Reports,
    SnrTrace,
)
from gainnet.radio.links.link import AnyLink


def bearers(
    config: GenerationConfig, source: Hardware, target: Hardware, medium: str | None = None
) -> tuple[AnyLink, ...]:
    """What one node reaches another with over the air: bits, and symbols.

    Args:
        config: the air.
        source: hardware of the sender.
        target: hardware of the receiver.
        medium: spectrum of the links, if not the usual one.

    Raises:
        ConfigError: the fading is unknown or broken, or the trace cannot be read.
    """
    if config.fading == IDEAL:
        air = Air(AWGN(), math.inf, config.bandwidth_hz, medium=medium or "air")
        return Ideal(medium or "ideal"), Analog(air)
    reports, radios = Reports(config.report_error_db, config.report_delay), Radios(source.tx_power_w, target.rx_power_w)
    air = Air(channel_of(config), mean_snr_db(config), config.bandwidth_hz, reports, medium or "air")
    powered = replace(air, fading=_powered(config, air.fading))
    return Digital(air, radios, Arq(harq=config.harq)), Analog(powered, radios)


def channel_of(config: GenerationConfig) -> Channel:
    """Fading as one of the devices sees it: of a trace where there is one."""
    if config.trace is not None:
        return shared_channel(_read_trace(config.trace), config.num_devices, config.scheduler)
    channel: Channel = guarded("fading", find("fading", config.fading, CHANNELS))
    require_members("fading", channel, ("block_length", "blocks", "first_gain", "transmit"))
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


def heard(config: GenerationConfig, link: AnyLink) -> tuple[str, float]:
    """Name of the fading and mean SNR in dB of the link that the content came over, wherever they were asked for.

    >>> heard(GenerationConfig(("a red star",), fading="rayleigh", snr_db=5.0), Digital(Air(AWGN(), 5.0)))
    ('rayleigh', 5.0)
    """
    if not isinstance(link, Digital):
        return IDEAL, config.snr_db
    if config.trace is not None:
        return "trace", link.air.snr_db
    known = (name for name, kind in CHANNELS.items() if type(link.air.fading) is kind)
    name = config.fading if config.network is None else next(known, type(link.air.fading).__name__.lower())
    return name, link.air.snr_db


@lru_cache(maxsize=4)
def _read_trace(path: str) -> SnrTrace:
    return SnrTrace.read(Path(path))
