"""Every link of the package keeps the contract of links, as it comes and over fading."""

from __future__ import annotations

import math

import pytest

from gainnet.radio import CHANNELS, LINKS, AnalogLink, Jakes, Ofdm, Rayleigh, SnrTrace, TabulatedLink, Tdl
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


@pytest.mark.parametrize(
    "link",
    [
        TabulatedLink(Rayleigh(), 5.0, harq="ir"),
        TabulatedLink(Jakes(), 10.0, harq="ir", report_delay_blocks=2),
        TabulatedLink(Jakes(), 12.0, report_delay_blocks=1),
        TabulatedLink(Rayleigh(), 10.0, harq="ir", report_error_db=3.0),
        TabulatedLink(SnrTrace(), 10.6, harq="ir"),
        pytest.param(TabulatedLink(Ofdm(Tdl("C")), 12.0, harq="ir"), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_link_that_combines_or_is_told_late(link: AnyLink) -> None:
    check_link(link)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CHANNELS if name not in ("awgn", "rayleigh")])
@pytest.mark.parametrize("kind", ["analog", "tabulated", "shannon"])
def test_link_over_every_channel(kind: str, name: str) -> None:
    link: AnyLink = LINKS[kind](CHANNELS[name](), 12.0)
    check_link(link)
