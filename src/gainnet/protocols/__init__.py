"""Who computes what, who sends what: plans, and how they run and what they cost."""

from collections.abc import Callable

from gainnet.protocols.centralized import centralized, device_only
from gainnet.protocols.plan import Compute, Plan, Transfer
from gainnet.protocols.pricing import Pricing, pricing, pricings
from gainnet.protocols.run import channel_free, estimate, execute
from gainnet.protocols.single_edge import ciag, eiug, uieg

PROTOCOLS: dict[str, Callable[..., Plan]] = {
    "centralized": centralized,
    "device_only": device_only,
    "uieg": uieg,
    "eiug": eiug,
    "ciag": ciag,
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
    "device_only",
    "eiug",
    "estimate",
    "execute",
    "pricing",
    "pricings",
    "uieg",
]
