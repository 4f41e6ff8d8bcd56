"""Every channel of the package keeps the contract of channels."""

from __future__ import annotations

import pytest

from gainnet.radio import CHANNELS
from gainnet.radio.fading.channel import Channel
from gainnet.radio.fading.rayleigh import Rayleigh
from gainnet.testing import check_channel

ONE_OF_A_KIND = ("awgn", "rayleigh", "jakes", "tdl-c")
SLOW = pytest.mark.slow


EACH = [name if name in ONE_OF_A_KIND else pytest.param(name, marks=SLOW) for name in CHANNELS]


@pytest.mark.parametrize("name", EACH)
def test_channel(name: str) -> None:
    check_channel(CHANNELS[name](), -5.0)


@pytest.mark.parametrize("name", ["awgn", *(pytest.param(name, marks=SLOW) for name in CHANNELS if name != "awgn")])
def test_channel_with_little_noise(name: str) -> None:
    check_channel(CHANNELS[name](), 15.0)


@pytest.mark.parametrize("channel", [Rayleigh(block_length=1), Rayleigh(block_length=7)], ids=str)
def test_channel_with_short_blocks(channel: Channel) -> None:
    check_channel(channel)
