"""Methods of the study air about codewords: against Sionna, against Shannon, fast against slow, and how late."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
import torch

from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Usage
from gainnet.core.units import db_to_linear
from gainnet.radio import AWGN, LADDER, Air, Arq, Codeword, Digital, Mcs, Reports, Tabulated, load_bler_tables
from gainnet.radio.coding.attempts import attempts_for
from gainnet.radio.coding.bler_measurement import LENGTHS, measure_point
from gainnet.radio.coding.free_measurement import free_codeword, measure_attempts, measure_free_point
from gainnet.radio.coding.ldpc import DECODER_ITERATIONS
from gainnet.radio.coding.mcs import NUM_CRC_BITS
from gainnet.radio.coding.outer_loop import OuterLoop, stream
from gainnet.studies.air.question import PACKET_BYTES, AirConfig
from gainnet.studies.air.references import ergodic_capacity, normal_approximation_db, normal_approximation_uses
from gainnet.studies.settings import air_of
from gainnet.studies.study import Case, Method, Row

QPSK_HALF: Final = Codeword(126, Mcs(2, 512.0))
"""1024 information bits, CRC included, in 2048 coded bits."""

PACKET_BLER: Final = 1e-2
K_FACTORS: Final = {"awgn": math.inf, "rayleigh": 0.0, "jakes": 0.0, "rician": 4.0, "tdl-c": 0.0}
_BATCH = 100
_AT_ONCE = 50


def methods(config: AirConfig) -> Mapping[str, Method]:
    """By name."""
    every = (sionna, codes, goodput, agreement, delivery, outer_loop, speed, packets, acknowledged_packets)
    return {method.__name__: partial(method, config) for method in every}


def sionna(config: AirConfig, case: Case, _: Random) -> Row:
    """Block error rate of rate 1/2 QPSK through our encoder, channel and decoder, and through Sionna's alone."""
    ebn0_db = case.number("ebn0_db")
    ours = measure_point(QPSK_HALF, ebn0_db, config.num_codewords, random_seed=1 + case.random_seed)
    errors = _sionna_errors(ebn0_db, config.num_codewords, case.random_seed)
    return {"num_trials": config.num_codewords, "num_errors": ours.num_errors, "num_errors_reference": errors}


def _sionna_errors(ebn0_db: float, num_codewords: int, random_seed: int) -> int:
    """Codewords that Sionna's own chain got wrong: random bits, no CRC, judged by its bits."""
    # Imported here, since it takes seconds and one of twelve questions needs it.
    from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder
    from sionna.phy.mapping import Demapper, Mapper
    from sionna.phy.utils import ebnodb2no

    encoder = LDPC5GEncoder(1024, 2048, num_bits_per_symbol=2)
    decoder = LDPC5GDecoder(encoder, cn_update="boxplus-phi", num_iter=DECODER_ITERATIONS[-1])
    mapper, demapper, no, errors = Mapper("qam", 2), Demapper("app", "qam", 2), ebnodb2no(ebn0_db, 2, 0.5), 0
    for start in range(0, num_codewords, _BATCH):
        rng, num = np.random.default_rng([random_seed, start]), min(_BATCH, num_codewords - start)
        sent = torch.from_numpy(rng.integers(0, 2, (num, 1024))).float()
        noise = torch.from_numpy(rng.standard_normal((num, 1024, 2), dtype=np.float32))
        received = mapper(encoder(sent)) + torch.view_as_complex(noise) * (no / 2) ** 0.5
        errors += int((decoder(demapper(received, no)) != sent).any(-1).sum())
    return errors


def codes(config: AirConfig, case: Case, _: Random) -> Row:
    """Distance of all measured schemes and lengths to the normal approximation, at a block error rate of 1e-2."""
    tables, gaps = load_bler_tables(), []
    for index, mcs in enumerate(LADDER):
        for length in LENGTHS:
            needed = tables.required_snr_db(torch.tensor(index), torch.tensor(length), 1e-2)
            codeword = Codeword((length - NUM_CRC_BITS) // 8, mcs)
            gaps.append(float(needed) - normal_approximation_db(length, codeword.num_channel_uses, 1e-2))
    return {"gap_db_mean": float(np.mean(gaps)), "gap_db_largest": max(gaps), "gap_db_least": min(gaps)}


def goodput(config: AirConfig, case: Case, _: Random) -> Row:
    """Payload bits per channel use of delivered items, and what Shannon allows."""
    link = Tabulated(air_of(case), arq=_arq(case))
    sent = [_transfer(link, config, case, start) for start in range(0, config.num_items, _AT_ONCE)]
    bits = math.fsum(8 * config.num_bytes * share * num for _, share, num in sent)
    uses = math.fsum(usage.num_channel_uses for usage, _, _ in sent)
    shannon = _capacity(config, case, link.air)
    return {"goodput": bits / uses, "capacity": shannon, "share_of_shannon": bits / uses / shannon}


def _capacity(config: AirConfig, case: Case, air: Air) -> float:
    """Bits per channel use with known gains; of a channel without a closed form the mean over drawn gains."""
    fading = case.text("fading")
    if fading in K_FACTORS:
        return ergodic_capacity(air.snr, K_FACTORS[fading])
    gains = air.fading.first_gain(Random.of(range(config.num_gains)).child("capacity"))
    return float(torch.log2(1 + air.snr * gains.abs().square().double()).mean())


def agreement(config: AirConfig, case: Case, _: Random) -> Row:
    """The same payloads over the same gains: real codewords, and the tables."""
    # Reports that are wrong by 2 dB, or else no codeword fails and both links agree without being tried.
    num_items, air = max(4, config.num_items // 20), replace(air_of(case), reports=Reports(2.0))
    row: dict[str, float] = {}
    for name, kind in (("bit_level", Digital), ("tabulated", Tabulated)):
        link: Any = kind(air, arq=_arq(case))
        random = Random.of([1000 * case.random_seed + i for i in range(num_items)]).child("agreement")
        payload = Bits(tuple(g.bytes(config.num_bytes) for g in random.generators("payload")), random.batch)
        _, usage = link.send(payload, link.observe(random), random)
        row |= {f"uses_{name}": usage.num_channel_uses, f"retransmissions_{name}": usage.num_retransmissions}
    return {**row, "num_items": num_items, "uses_ratio": row["uses_tabulated"] / row["uses_bit_level"]}


def delivery(config: AirConfig, case: Case, _: Random) -> Row:
    """Time until a payload is there, feedback included, and how many miss a deadline or never arrive."""
    link = Tabulated(air_of(case), arq=_arq(case))
    # One by one: the time of a batch is that of its slowest payload.
    taken_s = np.array([_duration_s(link, config, case, item) for item in range(config.num_items)])
    arrived_s = taken_s[np.isfinite(taken_s)]
    # Of those that arrived; what never arrives has no time and counts as an outage.
    quantiles = np.quantile(arrived_s, (0.5, 0.95, 0.99)) if len(arrived_s) else (math.nan,) * 3
    return {
        **{f"delivery_s_p{p}": float(q) for p, q in zip((50, 95, 99), quantiles, strict=True)},
        "outage": float((taken_s > config.deadline_s).mean()),
        "lost": float(1 - len(arrived_s) / len(taken_s)),
    }


def outer_loop(config: AirConfig, case: Case, _: Random) -> Row:
    """Block error rate and goodput of a long stream with late and wrong reports, with and without the outer loop."""
    random = Random.of([1000 * case.random_seed + i for i in range(16)]).child("outer loop")
    found = stream(air_of(case), OuterLoop(case.number("step_db"), 0.1), config.num_blocks, random)
    return {name: float(getattr(found, name).mean()) for name in ("bler", "goodput", "margin_db")}


def speed(config: AirConfig, case: Case, _: Random) -> Row:
    """Processor time of codewords over that of tables at equal block error rate; measured, so it varies."""
    cpu_s, resent = {}, {}
    for name, kind in (("bit_level", Digital), ("tabulated", Tabulated)):
        link: Any = kind(Air(AWGN(), 5.0, reports=Reports(1.5)), arq=Arq(harq="none"))
        # The first run fills caches; of the others the shorter one, as whatever else runs only adds.
        runs = [_timed(link, run) for run in range(3)]
        cpu_s[name], resent[name] = min(run[0] for run in runs[1:]), float(sum(run[1] for run in runs[1:]))
    return {
        "fast_over_bit_level": cpu_s["bit_level"] / cpu_s["tabulated"],
        "retransmissions_bit_level": resent["bit_level"],
        "retransmissions_tabulated": resent["tabulated"],
    }


def packets(config: AirConfig, case: Case, _: Random) -> Row:
    """A short packet sent once without feedback, as long as the link makes it for a block error rate of 1e-2."""
    snr_db = case.number("snr_db")
    plan = attempts_for(PACKET_BYTES, db_to_linear(snr_db), 1, PACKET_BLER)
    codeword = free_codeword(8 * PACKET_BYTES + NUM_CRC_BITS, plan.bits_per_symbol, plan.ends[0])
    found = measure_free_point(codeword, snr_db, config.num_packets, 1 + case.random_seed)
    ideal = normal_approximation_uses(codeword.num_information_bits, snr_db, PACKET_BLER)
    return {
        "bits_per_symbol": plan.bits_per_symbol,
        "num_channel_uses": plan.ends[0],
        "num_trials": found.num_trials,
        "num_errors": found.num_errors,
        "uses_over_normal_approximation": plan.ends[0] / ideal,
    }


def acknowledged_packets(config: AirConfig, case: Case, _: Random) -> Row:
    """Short packets with incremental redundancy; acknowledgements cost channel uses and err."""
    snr_db = case.number("snr_db")
    plan = attempts_for(PACKET_BYTES, db_to_linear(snr_db), Arq().max_attempts, PACKET_BLER)
    found = measure_attempts(plan, PACKET_BYTES, snr_db, config.num_packets // 2, 1 + case.random_seed)
    return {
        "bits_per_symbol": plan.bits_per_symbol,
        "ends": " ".join(map(str, plan.ends)),
        "acknowledgement_uses": plan.acknowledgement_uses,
        "num_trials": found.num_packets,
        "num_errors": found.num_lost,
        "mean_uses": found.mean_uses,
        "mean_uses_by_table": plan.mean_uses,
    }


def _timed(link: Any, run: int) -> tuple[float, float]:
    random = Random.of(range(16)).child("speed", run)
    payload = Bits(tuple(g.bytes(1000) for g in random.generators("payload")), random.batch)
    state = link.observe(random)
    begin_s = time.process_time()
    _, usage = link.send(payload, state, random)
    return time.process_time() - begin_s, usage.num_retransmissions


def _transfer(link: Tabulated, config: AirConfig, case: Case, start: int) -> tuple[Usage, float, int]:
    """Usage of some items, the share that arrived, and their number."""
    items = range(start, min(start + _AT_ONCE, config.num_items))
    random = Random.of([100_000 * case.random_seed + i for i in items]).child("goodput")
    payload = Bits((bytes(config.num_bytes),) * len(items), random.batch)
    received, usage = link.send(payload, link.observe(random), random)
    return usage, sum(s is not None for s in received.strings) / len(items), len(items)


def _duration_s(link: Tabulated, config: AirConfig, case: Case, item: int) -> float:
    random = Random.of(100_000 * case.random_seed + item).child("delivery")
    _, usage = link.send(Bits((bytes(config.num_bytes),), ()), link.observe(random), random)
    return usage.duration_s + usage.feedback_s if usage.delivered else math.inf


def _arq(case: Case) -> Arq:
    return Arq(harq="ir" if case.values["harq"] == "ir" else "none")
