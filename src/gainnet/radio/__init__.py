"""The air: channels in `fading/`, 5G codes in `coding/`, and links over them in `links/`.

Nothing here knows of models, codecs, nodes or protocols.
"""

from collections.abc import Callable
from functools import partial

from gainnet.radio.air import Air, Radios
from gainnet.radio.arq import Arq, Harq
from gainnet.radio.coding.adaptation import LinkAdaptation
from gainnet.radio.coding.bler import BlerPoint, BlerTables, load_bler_tables
from gainnet.radio.coding.bler_measurement import make_bler_tables
from gainnet.radio.coding.mcs import LADDER, Codeword, Mcs
from gainnet.radio.coding.outer_loop import OuterLoop
from gainnet.radio.fading.awgn import AWGN, add_noise
from gainnet.radio.fading.blocks import Blocks, CorrelatedBlocks, IndependentBlocks, Slots
from gainnet.radio.fading.cdl import Cdl
from gainnet.radio.fading.channel import Blockwise, Channel, transmit_blocks
from gainnet.radio.fading.estimation import Estimator, Filter, Known, LeastSquares, Lmmse
from gainnet.radio.fading.grid import Grid
from gainnet.radio.fading.jakes import Jakes
from gainnet.radio.fading.ofdm import Ofdm
from gainnet.radio.fading.rayleigh import Rayleigh
from gainnet.radio.fading.rician import Rician
from gainnet.radio.fading.spread import DftSpread
from gainnet.radio.fading.tdl import Tdl
from gainnet.radio.fading.trace import SnrTrace, write_generated_trace
from gainnet.radio.fading.waves import Profile, Waves
from gainnet.radio.links.analog import Analog
from gainnet.radio.links.delivery import Delivery
from gainnet.radio.links.digital import Digital
from gainnet.radio.links.ideal import Ideal
from gainnet.radio.links.link import AnyLink, Link
from gainnet.radio.links.shannon import Shannon
from gainnet.radio.links.tabulated import Tabulated
from gainnet.radio.power import Outlook, Powered, PowerPolicy
from gainnet.radio.reports import Reports

CHANNELS: dict[str, Callable[[], Channel]] = {
    "awgn": AWGN,
    "rayleigh": Rayleigh,
    "rician": Rician,
    "jakes": Jakes,
    **{f"tdl-{name.lower()}": partial(Ofdm, Tdl(name)) for name in "ABCDE"},
    **{f"cdl-{name.lower()}": partial(Ofdm, Cdl(name)) for name in "ABCDE"},
}
"""Fading models by name; each can be made without arguments."""

FADINGS: dict[str, Callable[..., Channel]] = {**CHANNELS, "ofdm": Ofdm, "dft_spread": DftSpread}
"""All that a text can name as fading: the models, and what is made of other objects."""

PROFILES: dict[str, Callable[..., Profile]] = {"tdl": Tdl, "cdl": Cdl}
"""Delay profiles of OFDM by name."""

ESTIMATORS: dict[str, Callable[..., Estimator]] = {"lmmse": Lmmse, "least_squares": LeastSquares, "known": Known}
"""Channel estimators of OFDM by name."""

LINKS: dict[str, type[AnyLink]] = {
    "ideal": Ideal,
    "analog": Analog,
    "digital": Digital,
    "tabulated": Tabulated,
    "shannon": Shannon,
    "delivery": Delivery,
}
"""Links by name; each can be made without arguments."""

__all__ = [
    "AWGN",
    "CHANNELS",
    "ESTIMATORS",
    "FADINGS",
    "LADDER",
    "LINKS",
    "PROFILES",
    "Air",
    "Analog",
    "AnyLink",
    "Arq",
    "BlerPoint",
    "BlerTables",
    "Blocks",
    "Blockwise",
    "Cdl",
    "Channel",
    "Codeword",
    "CorrelatedBlocks",
    "Delivery",
    "DftSpread",
    "Digital",
    "Estimator",
    "Filter",
    "Grid",
    "Harq",
    "Ideal",
    "IndependentBlocks",
    "Jakes",
    "Known",
    "LeastSquares",
    "Link",
    "LinkAdaptation",
    "Lmmse",
    "Mcs",
    "Ofdm",
    "OuterLoop",
    "Outlook",
    "PowerPolicy",
    "Powered",
    "Profile",
    "Radios",
    "Rayleigh",
    "Reports",
    "Rician",
    "Shannon",
    "Slots",
    "SnrTrace",
    "Tabulated",
    "Tdl",
    "Waves",
    "add_noise",
    "load_bler_tables",
    "make_bler_tables",
    "transmit_blocks",
    "write_generated_trace",
]
