"""Every channel of the package keeps the contract of channels."""

from __future__ import annotations

import pytest

from gainnet.radio import CHANNELS
from gainnet.radio.fading.channel import Channel
from gainnet.radio.fading.rayleigh import Rayleigh
from gainnet.testing import check_channel


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("snr_db", [-5.0, 15.0])
def test_channel(name: str, snr_db: float) -> None:
    check_channel(CHANNELS[name](), snr_db)


@pytest.mark.parametrize("channel", [Rayleigh(block_length=1), Rayleigh(block_length=7)], ids=str)
def test_channel_with_short_blocks(channel: Channel) -> None:
    check_channel(channel)
