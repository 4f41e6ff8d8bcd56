"""Every link of the package keeps the contract of links, as it comes and over fading."""

from __future__ import annotations

import math

import pytest

from gainnet.radio import CHANNELS, LINKS, Air, Analog, Arq, Jakes, Ofdm, Rayleigh, Reports, SnrTrace, Tabulated, Tdl
from gainnet.radio.links.link import AnyLink
from gainnet.testing import check_link

FADING = [name for name in LINKS if name not in ("ideal", "delivery")]
NUM_TRANSFERS = {"digital": 4}
"""Real codewords take their time."""


@pytest.mark.parametrize("name", LINKS)
def test_link(name: str) -> None:
    check_link(LINKS[name](), num_transfers=NUM_TRANSFERS.get(name, 24))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in ("digital", "tabulated") else name for name in FADING],
)
def test_link_over_fading(name: str) -> None:
    link: AnyLink = LINKS[name](Air(Rayleigh(), 12.0))
    check_link(link, num_transfers=NUM_TRANSFERS.get(name, 24))


def test_link_without_noise() -> None:
    check_link(Analog(Air(snr_db=math.inf)))


@pytest.mark.parametrize(
    "link",
    [
        *(
            pytest.param(link, marks=pytest.mark.slow)
            for link in (
                Tabulated(Air(SnrTrace(), 10.6), arq=Arq(harq="ir")),
                Tabulated(Air(Jakes(), 12.0, reports=Reports(delay_blocks=1))),
                Tabulated(Air(Rayleigh(), 5.0), arq=Arq(harq="ir")),
                Tabulated(Air(Rayleigh(), 10.0, reports=Reports(3.0)), arq=Arq(harq="ir")),
                Tabulated(Air(Jakes(), 10.0, reports=Reports(delay_blocks=2)), arq=Arq(harq="ir")),
                Tabulated(Air(Ofdm(Tdl("C")), 12.0), arq=Arq(harq="ir")),
            )
        ),
    ],
    ids=str,
)
def test_link_that_combines_or_is_told_late(link: AnyLink) -> None:
    check_link(link)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CHANNELS if name not in ("awgn", "rayleigh")])
@pytest.mark.parametrize("kind", ["analog", "tabulated", "shannon"])
def test_link_over_every_channel(kind: str, name: str) -> None:
    link: AnyLink = LINKS[kind](Air(CHANNELS[name](), 12.0))
    check_link(link)
