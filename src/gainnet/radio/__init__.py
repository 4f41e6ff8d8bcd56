"""What the air does: channels and links."""

from collections.abc import Callable
from functools import partial

from gainnet.radio.adaptation import LinkAdaptation
from gainnet.radio.air import RadioLink
from gainnet.radio.analog import AnalogLink
from gainnet.radio.awgn import AWGN
from gainnet.radio.bler import BlerPoint, BlerTables, load_bler_tables
from gainnet.radio.bler_measurement import make_bler_tables
from gainnet.radio.cdl import Cdl
from gainnet.radio.channel import Blockwise, Channel, Evolving, Selective
from gainnet.radio.digital import DigitalLink
from gainnet.radio.estimation import Known, LeastSquares, Lmmse
from gainnet.radio.grid import Grid
from gainnet.radio.ideal import IdealLink
from gainnet.radio.jakes import Jakes
from gainnet.radio.link import AnyLink, Link
from gainnet.radio.mcs import LADDER, Codeword, Mcs
from gainnet.radio.ofdm import Ofdm
from gainnet.radio.power import Outlook, Powered, PowerPolicy
from gainnet.radio.rayleigh import Rayleigh
from gainnet.radio.rician import Rician
from gainnet.radio.shannon import ShannonLink
from gainnet.radio.spread import DftSpread
from gainnet.radio.tabulated import TabulatedLink
from gainnet.radio.tdl import Tdl
from gainnet.radio.trace import SnrTrace, write_generated_trace


def ofdm(profile: Tdl | Cdl) -> Ofdm:
    """OFDM slots behind a delay profile, with pilots and LMMSE channel estimation.

    >>> ofdm(Tdl("A")).slot_length
    936
    """
    return Ofdm(profile)


CHANNELS: dict[str, Callable[[], Channel]] = {
    "awgn": AWGN,
    "rayleigh": Rayleigh,
    "rician": Rician,
    "jakes": Jakes,
    **{f"tdl-{name.lower()}": partial(ofdm, Tdl(name)) for name in "ABCDE"},
    **{f"cdl-{name.lower()}": partial(ofdm, Cdl(name)) for name in "ABCDE"},
}
"""Fading models by the name that the command line takes; each can be made without arguments."""

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
    "Blockwise",
    "Cdl",
    "Channel",
    "Codeword",
    "DftSpread",
    "DigitalLink",
    "Evolving",
    "Grid",
    "IdealLink",
    "Jakes",
    "Known",
    "LeastSquares",
    "Link",
    "LinkAdaptation",
    "Lmmse",
    "Mcs",
    "Ofdm",
    "Outlook",
    "PowerPolicy",
    "Powered",
    "RadioLink",
    "Rayleigh",
    "Rician",
    "Selective",
    "ShannonLink",
    "SnrTrace",
    "TabulatedLink",
    "Tdl",
    "load_bler_tables",
    "make_bler_tables",
    "ofdm",
    "write_generated_trace",
]
