"""Every link of the package keeps the contract of links, as it comes and over fading."""

from __future__ import annotations

import math

import pytest

from gainnet.radio import LINKS, AnalogLink, Rayleigh
from gainnet.radio.link import AnyLink
from gainnet.testing import check_link

FADING = [name for name in LINKS if name != "ideal"]
NUM_TRANSFERS = {"digital": 6}
"""Real codewords take their time."""


@pytest.mark.parametrize("name", LINKS)
def test_link(name: str) -> None:
    check_link(LINKS[name](), num_transfers=NUM_TRANSFERS.get(name, 24))


@pytest.mark.parametrize("name", FADING)
def test_link_over_fading(name: str) -> None:
    link: AnyLink = LINKS[name](Rayleigh(), 12.0)
    check_link(link, num_transfers=NUM_TRANSFERS.get(name, 24))


def test_link_without_noise() -> None:
    check_link(AnalogLink(snr_db=math.inf))
