"""Plans, the protocols that write them, how they run and what they cost; one transmission, its binding of codecs.

Nothing here takes a name or a file: text becomes objects above. Sockets and processes live above, too, and call `walk`,
`emit` and `accept`.
"""

from collections.abc import Mapping

from gainnet.protocols.centralized import Centralized, DeviceOnly
from gainnet.protocols.cooperative import Dcsuc, Uidcg
from gainnet.protocols.draft import Draft
from gainnet.protocols.parallel import Diug, Dsuc, Uidg
from gainnet.protocols.plan import Compute, Plan, Transfer
from gainnet.protocols.pricing import Pricing, pricing, pricings
from gainnet.protocols.protocol import HandsOver, Protocol
from gainnet.protocols.run import channel_free, estimate, execute
from gainnet.protocols.single_edge import Ciag, Eiug, Esuc, Uieg

PROTOCOLS: Mapping[str, type[Protocol]] = {
    "centralized": Centralized,
    "device_only": DeviceOnly,
    "uieg": Uieg,
    "eiug": Eiug,
    "ciag": Ciag,
    "esuc": Esuc,
    "uidg": Uidg,
    "diug": Diug,
    "dsuc": Dsuc,
    "uidcg": Uidcg,
    "dcsuc": Dcsuc,
    "draft": Draft,
}

__all__ = [
    "PROTOCOLS",
    "Centralized",
    "Ciag",
    "Compute",
    "Dcsuc",
    "DeviceOnly",
    "Diug",
    "Draft",
    "Dsuc",
    "Eiug",
    "Esuc",
    "HandsOver",
    "Plan",
    "Pricing",
    "Protocol",
    "Transfer",
    "Uidcg",
    "Uidg",
    "Uieg",
    "channel_free",
    "estimate",
    "execute",
    "pricing",
    "pricings",
]
