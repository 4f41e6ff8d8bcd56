"""What the air does: channels and links."""

from gainnet.radio.adaptation import LinkAdaptation
from gainnet.radio.air import RadioLink
from gainnet.radio.analog import AnalogLink
from gainnet.radio.awgn import AWGN
from gainnet.radio.bler import BlerPoint, BlerTables, load_bler_tables
from gainnet.radio.bler_measurement import make_bler_tables
from gainnet.radio.channel import Channel
from gainnet.radio.digital import DigitalLink
from gainnet.radio.ideal import IdealLink
from gainnet.radio.link import AnyLink, Link
from gainnet.radio.mcs import LADDER, Codeword, Mcs
from gainnet.radio.rayleigh import Rayleigh
from gainnet.radio.shannon import ShannonLink
from gainnet.radio.tabulated import TabulatedLink

CHANNELS: dict[str, type[Channel]] = {"awgn": AWGN, "rayleigh": Rayleigh}
"""Fading models by the name that the command line takes."""

LINKS: dict[str, type[AnyLink]] = {
    "ideal": IdealLink,
    "analog": AnalogLink,
    "digital": DigitalLink,
    "tabulated": TabulatedLink,
    "shannon": ShannonLink,
}
"""Links by name; each can be made without arguments."""

__all__ = [
    "AWGN",
    "CHANNELS",
    "LADDER",
    "LINKS",
    "AnalogLink",
    "AnyLink",
    "BlerPoint",
    "BlerTables",
    "Channel",
    "Codeword",
    "DigitalLink",
    "IdealLink",
    "Link",
    "LinkAdaptation",
    "Mcs",
    "RadioLink",
    "Rayleigh",
    "ShannonLink",
    "TabulatedLink",
    "load_bler_tables",
    "make_bler_tables",
]
