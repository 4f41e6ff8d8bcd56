"""Every link of the package keeps the contract of links, as it comes and over fading."""

from __future__ import annotations

import math

import pytest

from gainnet.radio import LINKS, AnalogLink, Rayleigh
from gainnet.radio.link import AnyLink
from gainnet.testing import check_link

FADING = [name for name in LINKS if name != "ideal"]


@pytest.mark.parametrize("name", LINKS)
def test_link(name: str) -> None:
    check_link(LINKS[name]())


@pytest.mark.parametrize("name", FADING)
def test_link_over_fading(name: str) -> None:
    link: AnyLink = LINKS[name](Rayleigh(), 12.0)
    check_link(link)


def test_link_without_noise() -> None:
    check_link(AnalogLink(snr_db=math.inf))
