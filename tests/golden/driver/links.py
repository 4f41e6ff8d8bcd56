"""One transmission over every link and every fading."""

from __future__ import annotations

from typing import Any

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Size, Symbols
from gainnet.radio import AWGN, CHANNELS, LINKS, Air, Arq, Channel, Radios, Reports, SnrTrace
from golden.driver.values import of_payload, of_state, of_usage, plain

TRACE = SnrTrace((3.0, 12.0, 8.0, 15.0, -2.0, 10.0), block_length=128)


def run(case: dict[str, Any]) -> dict[str, Any]:
    """State, payload as received, usage, expected usage, drawn durations and capacity.

    Args:
        case: `link`, `fading`, `size` (bytes or symbols per item), and fields of the link by name.
    """
    fields = dict(case)
    kind, fading, size = fields.pop("link"), fields.pop("fading", None), fields.pop("size")
    made = _link(kind, fading, fields)
    random = Random.of([3, 4, 5]).child("golden")
    payload, unit = _payload(made, random, size)
    state = made.observe(random)
    received, usage = made.send(payload, state, random)
    found = {
        "state": of_state(state),
        "sent": of_payload(payload, is_text=True),
        "received": of_payload(received, is_text=True),
        "usage": of_usage(usage),
        "expected": of_usage(made.usage(Size.fixed(unit * size), 3)),
        "durations_s": plain(made.draw_durations_s(Size.fixed(unit * size), 3, 20, 9)),
        "capacity_bits": plain([made.capacity_bits(1000.0, snr) for snr in (1.0, 10.0)]),
    }
    if isinstance(received, Bits) and isinstance(payload, Bits):
        found["unharmed"] = [a == b for a, b in zip(payload.strings, received.strings, strict=True)]
    return found


def _link(kind: str, fading: str | None, fields: dict[str, Any]) -> Any:
    """A link of the fields that a case names."""
    if kind == "ideal":
        return LINKS[kind]()
    reports = Reports(fields.pop("report_error_db", 0.0), fields.pop("report_delay_blocks", 0))
    own = {name: fields.pop(name) for name in ("snr_db", "bandwidth_hz", "medium") if name in fields}
    air = Air(AWGN() if fading is None else _channel(fading), reports=reports, **own)
    radios = Radios(**{name: fields.pop(name) for name in ("tx_power_w", "rx_power_w") if name in fields})
    made: Any = LINKS[kind]
    return (
        made(air, radios, Arq(**{"harq": "none"} | fields))
        if kind in ("digital", "tabulated")
        else made(air, radios, **fields)
    )


def _channel(name: str) -> Channel:
    return TRACE if name == "trace" else CHANNELS[name]()


def _payload(link: Any, random: Random, size: int) -> tuple[Bits | Symbols, int]:
    if link.carries is Symbols:
        return Symbols.clean(random.complex_normal((size,), "payload")), 1
    return Bits(tuple(g.bytes(size) for g in random.generators("payload")), random.batch), 8
