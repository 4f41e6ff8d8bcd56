"""Who computes what, who sends what: plans, and how they run and what they cost."""

from collections.abc import Callable

from gainnet.protocols.centralized import centralized, device_only
from gainnet.protocols.cooperative import dcsuc, uidcg
from gainnet.protocols.parallel import diug, dsuc, uidg
from gainnet.protocols.plan import Compute, Plan, Transfer
from gainnet.protocols.pricing import Pricing, pricing, pricings
from gainnet.protocols.run import channel_free, estimate, execute
from gainnet.protocols.single_edge import ciag, eiug, esuc, uieg

PROTOCOLS: dict[str, Callable[..., Plan]] = {
    "centralized": centralized,
    "device_only": device_only,
    "uieg": uieg,
    "eiug": eiug,
    "ciag": ciag,
    "esuc": esuc,
    "uidg": uidg,
    "diug": diug,
    "dsuc": dsuc,
    "uidcg": uidcg,
    "dcsuc": dcsuc,
}

__all__ = [
    "PROTOCOLS",
    "Compute",
    "Plan",
    "Pricing",
    "Transfer",
    "centralized",
    "channel_free",
    "ciag",
    "dcsuc",
    "device_only",
    "diug",
    "dsuc",
    "eiug",
    "estimate",
    "esuc",
    "execute",
    "pricing",
    "pricings",
    "uidcg",
    "uidg",
    "uieg",
]
