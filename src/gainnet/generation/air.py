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
from gainnet.core.units import db_to_linear
from gainnet.generation.config import IDEAL, GenerationConfig
from gainnet.network.hardware import Hardware
from gainnet.network.sharing import shared_channel
from gainnet.radio import AWGN, CHANNELS, AnalogLink, DigitalLink, IdealLink, Selective, SnrTrace
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
    analog = AnalogLink(*air, report_error_db=error_db, report_delay_blocks=late)
    return DigitalLink(*air, report_error_db=error_db, report_delay_blocks=late, harq=config.harq), analog


def channel_of(config: GenerationConfig) -> Channel:
    """Fading as one of the devices sees it: of a trace where there is one."""
    if config.trace is not None:
        return shared_channel(_read_trace(config.trace), config.num_devices, config.scheduler)
    channel: Channel = guarded("fading", find("fading", config.fading, CHANNELS))
    require_members("fading", channel, ("block_length", "first_gain", "transmit"))
    return shared_channel(channel, config.num_devices, config.scheduler)


def mean_snr_db(config: GenerationConfig) -> float:
    """Mean received Es/N0: what was asked for, or that of the trace."""
    return config.snr_db if config.trace is None else _read_trace(config.trace).mean_snr_db


def block_length(config: GenerationConfig) -> int:
    """Channel uses of which one report speaks."""
    return sys.maxsize if config.fading == IDEAL else coherent_uses(channel_of(config))


def typical_snrs(config: GenerationConfig) -> tuple[float, ...]:
    """Equally likely linear SNRs of a block: one without fading, quantiles for Rayleigh, draws for all others."""
    mean = db_to_linear(mean_snr_db(config))
    if config.fading == IDEAL or (config.fading == "awgn" and config.trace is None):
        return (mean,)
    if config.fading == "rayleigh" and config.trace is None and config.num_devices == 1:
        return typical_rayleigh_snrs(mean)
    channel = channel_of(config)
    if isinstance(channel, Selective):
        link = AnalogLink(channel, mean_snr_db(config))
        return tuple(observe(link, Random.of(range(NUM_DRAWN_STATES))).reported_snr.tolist())
    gains = guarded("fading", channel.first_gain, Random.of(range(NUM_DRAWN_STATES)))
    return tuple((mean * gains.abs().square()).tolist())


@lru_cache(maxsize=4)
def _read_trace(path: str) -> SnrTrace:
    return SnrTrace.read(Path(path))
