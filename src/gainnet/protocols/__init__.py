"""Who computes what, who sends what: plans, and how they run and what they cost."""

from collections.abc import Callable

from gainnet.protocols.centralized import centralized, device_only
from gainnet.protocols.cooperative import uidcg
from gainnet.protocols.parallel import diug, uidg
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
    "uidg": uidg,
    "diug": diug,
    "uidcg": uidcg,
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
    "diug",
    "eiug",
    "estimate",
    "execute",
    "pricing",
    "pricings",
    "uidcg",
    "uidg",
    "uieg",
]
