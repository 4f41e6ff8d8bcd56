"""How much faster block error rate tables are than the codewords they stand for, and what 10,000 fading blocks take."""

from __future__ import annotations

import json
import sys
import time

import torch

from gainnet.core.randomness import Random
from gainnet.core.types import Bits
from gainnet.radio import AWGN, Air, Blockwise, Digital, Jakes, Rayleigh, Reports, Rician, Tabulated, load_bler_tables

NUM_ITEMS, NUM_BYTES, SNR_DB = 16, 1000, 5.0
NUM_BLOCKS = 10_000
LEAST_RATIO, MOST_BLOCKS_S = 100.0, 0.1


def seconds_of(link: Digital | Tabulated, name: str) -> tuple[float, float]:
    """Processor time and retransmissions of one transfer."""
    random = Random.of(range(NUM_ITEMS)).child(name)
    payload = Bits(tuple(g.bytes(NUM_BYTES) for g in random.generators("payload")), (NUM_ITEMS,))
    state = link.observe(random)
    start = time.process_time()
    _, usage = link.send(payload, state, random)
    return time.process_time() - start, usage.num_retransmissions


def seconds_of_blocks(channel: Blockwise, random_seed: int) -> float:
    """Processor time of the gains of many blocks in a row, and of whether a codeword in each gets through."""
    random = Random.of([random_seed])
    start = time.process_time()
    gains = channel.block_gains(channel.first_gain(random), NUM_BLOCKS, random)
    snr_db = SNR_DB + 20 * gains.abs().log10()
    bler = load_bler_tables().bler(torch.tensor(8), torch.tensor(512), snr_db)
    passed = random.uniform((NUM_BLOCKS,), "outcome") >= bler
    assert passed.shape == (1, NUM_BLOCKS)
    return time.process_time() - start


def main() -> int:
    torch.set_num_threads(1)
    links = {
        "bit_level": Digital(Air(AWGN(), SNR_DB, reports=Reports(1.5))),
        "tabulated": Tabulated(Air(AWGN(), SNR_DB, reports=Reports(1.5))),
    }
    for link in links.values():
        seconds_of(link, "warm-up")
    runs = {name: [seconds_of(link, f"run {i}") for i in range(3)] for name, link in links.items()}
    cpu_s = {name: min(run[0] for run in taken) for name, taken in runs.items()}
    resent = {name: sum(run[1] for run in taken) / 3 for name, taken in runs.items()}
    ratio = cpu_s["bit_level"] / cpu_s["tabulated"]
    print(f"{NUM_ITEMS} items of {NUM_BYTES} bytes at {SNR_DB} dB: tables are {ratio:.0f} times as fast as codewords")
    blocks_s = {}
    for channel in (Rayleigh(), Rician(), Jakes()):
        seconds_of_blocks(channel, 0)
        blocks_s[type(channel).__name__] = min(seconds_of_blocks(channel, i) for i in range(1, 4))
    slowest_s = max(blocks_s.values())
    print(f"{NUM_BLOCKS} fading blocks: {', '.join(f'{name} {1e3 * s:.1f} ms' for name, s in blocks_s.items())}")
    print(
        json.dumps(
            {
                "benchmark": "radio",
                "ratio": ratio,
                "bit_level_s": cpu_s["bit_level"],
                "tabulated_s": cpu_s["tabulated"],
                "bit_level_retransmissions": resent["bit_level"],
                "tabulated_retransmissions": resent["tabulated"],
                "blocks_s": slowest_s,
            }
        )
    )
    return int(ratio < LEAST_RATIO or slowest_s > MOST_BLOCKS_S)


if __name__ == "__main__":
    sys.exit(main())
