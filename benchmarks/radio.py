"""How much faster the block error rate tables are than the codewords they stand for, measured in one run."""

from __future__ import annotations

import json
import time

import torch

from gainnet.core.randomness import Random
from gainnet.core.types import Bits
from gainnet.radio import AWGN, DigitalLink, TabulatedLink

NUM_ITEMS, NUM_BYTES, SNR_DB = 16, 289, 5.0


def seconds_of(link: DigitalLink | TabulatedLink, name: str) -> float:
    """Processor time of one transfer."""
    random = Random.of(range(NUM_ITEMS)).child(name)
    payload = Bits(tuple(g.bytes(NUM_BYTES) for g in random.generators("payload")), (NUM_ITEMS,))
    state = link.observe(random)
    start = time.process_time()
    link.send(payload, state, random)
    return time.process_time() - start


def main() -> None:
    torch.set_num_threads(1)
    links = {"bit_level": DigitalLink(AWGN(), SNR_DB), "tabulated": TabulatedLink(AWGN(), SNR_DB)}
    for link in links.values():
        seconds_of(link, "warm-up")
    cpu_s = {name: min(seconds_of(link, f"run {i}") for i in range(3)) for name, link in links.items()}
    ratio = cpu_s["bit_level"] / cpu_s["tabulated"]
    print(f"{NUM_ITEMS} items of {NUM_BYTES} bytes at {SNR_DB} dB: tables are {ratio:.0f} times as fast as codewords")
    print(
        json.dumps(
            {"benchmark": "radio", "ratio": ratio, "bit_level_s": cpu_s["bit_level"], "tabulated_s": cpu_s["tabulated"]}
        )
    )


if __name__ == "__main__":
    main()
