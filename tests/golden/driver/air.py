"""What goes over the links of the package while a case runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gainnet.radio
from gainnet.core.types import Bits
from gainnet.network.backhaul import Wire
from golden.driver.values import of_payload, of_state, of_usage

LINKS: tuple[type[Any], ...] = (*gainnet.radio.LINKS.values(), Wire)


@contextmanager
def listening() -> Iterator[dict[str, dict[str, Any]]]:
    """Every transmission by the name of its streams, the first one of a name alone, while the block runs."""
    log: dict[str, dict[str, Any]] = {}
    before = {link: link.send for link in LINKS}
    depth = [0]
    for link, send in before.items():
        link.send = _recorded(send, log, depth)
    try:
        yield log
    finally:
        for link, send in before.items():
            link.send = send


def _recorded(send: Any, log: dict[str, dict[str, Any]], depth: list[int]) -> Any:
    def recorded(self: Any, payload: Any, state: Any, random: Any) -> Any:
        depth[0] += 1
        try:
            received, usage = send(self, payload, state, random)
        finally:
            depth[0] -= 1
        name = "/".join(str(part) for part in random.path) or ",".join(str(seed) for seed in random.random_seeds)
        if depth[0] == 0 and name not in log:
            is_text = "prompt" in random.path
            log[name] = {
                "random_seeds": list(random.random_seeds),
                "batch": list(random.batch),
                "state": of_state(state),
                "sent": of_payload(payload, is_text),
                "received": [s is not None for s in received.strings]
                if isinstance(received, Bits)
                else of_payload(received),
                "usage": of_usage(usage),
            }
            if isinstance(received, Bits):
                log[name]["unharmed"] = [
                    b is None or a == b for a, b in zip(payload.strings, received.strings, strict=True)
                ]
        return received, usage

    return recorded
