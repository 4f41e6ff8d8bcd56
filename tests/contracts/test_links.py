"""Every link of the package keeps the contract of links, over every channel."""

from __future__ import annotations

import math

import pytest

from gainnet.radio import CHANNELS, AnalogLink, DigitalLink, IdealLink
from gainnet.radio.link import AnyLink
from gainnet.testing import check_link

LINKS: dict[str, AnyLink] = {
    "ideal": IdealLink(),
    "analog without noise": AnalogLink(CHANNELS["awgn"](), math.inf, 1e6),
    **{f"analog {name}": AnalogLink(channel(), 3.0, 1e6) for name, channel in CHANNELS.items()},
    **{f"digital {name}": DigitalLink(channel(), 10.0, 1e6) for name, channel in CHANNELS.items()},
}


@pytest.mark.parametrize("name", LINKS)
def test_link(name: str) -> None:
    check_link(LINKS[name])
