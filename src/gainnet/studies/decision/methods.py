"""Methods of decision: a policy chooses by the tables, and what it chose is run on a picture that no table saw."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Final, final

from gainnet.core.randomness import Random
from gainnet.core.types import Bits
from gainnet.core.units import linear_to_db
from gainnet.generation.decision import DecisionTable, load_table
from gainnet.studies.decision.bench import Bench, Run, sent
from gainnet.studies.decision.configurations import of_table
from gainnet.studies.decision.measuring import FEEDBACK_S
from gainnet.studies.decision.policies import Choice, policies
from gainnet.studies.decision.question import EVERY, POLICIES, Asked, DecisionConfig, population
from gainnet.studies.seed_coding.unseen_list import unseen_captions
from gainnet.studies.statistics import psnr_db
from gainnet.studies.study import Case, Method, Row

FIRST_RANDOM_SEED: Final = 9 << 40
"""Of the noise of held-out pictures; no training, table or user draws there."""
PLANNED: Final = 1_000_000
"""Random seed of the requests that fixed configurations are chosen on."""


@final
@dataclass(frozen=True, eq=False)
class Arena:
    """Requests with their pictures.

    Args:
        config: settings of the run.
        table: that policies choose by.
        bench: held-out pictures, one per request.
    """

    config: DecisionConfig
    table: DecisionTable
    bench: Bench

    @cached_property
    def asked(self) -> Mapping[int, tuple[Asked, ...]]:
        """The requests of every random seed."""
        return {seed: population(self.config, seed, self.config.num_requests) for seed in self.config.random_seeds}

    @cached_property
    def choices(self) -> Mapping[str, Choice]:
        """The policies."""
        return policies(self.table, population(self.config, PLANNED, self.config.num_planned))

    def item(self, case: Case) -> int:
        """Number of the picture of a case."""
        return self.config.random_seeds.index(case.random_seed) * self.config.num_requests + case.count("request")

    @lru_cache(maxsize=4)  # noqa: B019  # an arena lives as long as its run
    def prompt(self, random_seed: int, request: int, item: int) -> tuple[float, float]:
        """Channel uses and waits of the prompt of a request on its way up."""
        text, seed = self.bench.prompts[item], self.bench.random.random_seeds[item]
        streams = Random((seed,), (1,)).child("decision prompt")
        air = self.asked[random_seed][request].state.air
        _, uses, waits = sent(Bits((text.encode(),), (1,)), air, streams)
        return uses[0], waits[0]


def policy(arena: Arena, name: str, case: Case, random: Random) -> Row:
    """The choice of a policy, run."""
    asked, choose = arena.asked[case.random_seed][case.count("request")], arena.choices[name]
    start_s = time.perf_counter()
    chosen = choose(asked)
    decision_s = time.perf_counter() - start_s
    row = _played(arena, case, asked, chosen.configuration.name, chosen.power)
    return {**row, "is_infeasible_by_tables": bool(chosen.reason), "measured_decision_s": decision_s}


def every(arena: Arena, case: Case, random: Random) -> Row:
    """One configuration of the table, run."""
    asked = arena.asked[case.random_seed][case.count("request")]
    return _played(arena, case, asked, case.text("configuration"), 1.0)


def _played(arena: Arena, case: Case, asked: Asked, name: str, power: float) -> Row:
    candidate = next(each for each in of_table(arena.table) if each.name == name)
    item, air = arena.item(case), asked.state.air
    lowered = replace(air, snr_db=float(linear_to_db(air.snr * power)))
    run = arena.bench.over(candidate, [item], lowered)[0]
    up = arena.prompt(case.random_seed, case.count("request"), item)
    latency_s, energy_j = costs(arena.table, asked, name, run, up)
    psnr = psnr_db(run.error)
    wanted = asked.wanted
    kept = latency_s <= wanted.latency_s, energy_j <= wanted.energy_j, psnr >= wanted.psnr_db
    return {
        "device": asked.device, "chosen": name, "power": power, "latency_s": latency_s, "device_energy_j": energy_j,
        "psnr_db": psnr, "num_channel_uses_sent": run.num_channel_uses, "delivered": run.is_delivered,
        "keeps": all(kept), "keeps_latency": kept[0], "keeps_energy": kept[1], "keeps_quality": kept[2],
    }  # fmt: skip


def costs(table: DecisionTable, asked: Asked, name: str, run: Run, up: tuple[float, float]) -> tuple[float, float]:
    """Latency in s and energy of the device in J of a run, as the ledger of its plan books them.

    Args:
        table: with the work of every configuration.
        asked: the request.
        name: of the configuration.
        run: what was sent down.
        up: channel uses and waits of the prompt.
    """
    state, names = asked.state, [each.name for each in table.configurations]
    k, work = names.index(name), table.work(asked.state.priced_as)
    has_edge = table.configurations[k].has_edge
    up_s, down_s = up[0] / state.air.bandwidth_hz, run.num_channel_uses / state.air.bandwidth_hz
    edge_s = float(work["edge"][k]) / state.edge.flops_per_s
    before_s, after_s = (float(work[stage][k]) / state.device.flops_per_s for stage in ("before", "after"))
    waits_s = FEEDBACK_S * (up[1] + run.num_waits)
    arrived_s = up_s + state.queue_s + edge_s + down_s + waits_s if has_edge else 0.0
    latency_s, busy_s = max(arrived_s, before_s) + after_s, before_s + after_s
    radio_j = up_s * state.device.tx_power_w + down_s * state.device.rx_power_w if has_edge else 0.0
    return latency_s, busy_s * state.device.active_power_w + radio_j


def open_methods(config: DecisionConfig) -> Mapping[str, Method]:
    """The policies and every configuration, with table and pictures loaded once."""
    number = len(config.random_seeds) * config.num_requests
    texts = unseen_captions()[:number]
    bench = Bench(config.model, texts, Random.of(range(FIRST_RANDOM_SEED, FIRST_RANDOM_SEED + number)))
    arena = Arena(config, load_table(), bench)
    return {EVERY: partial(every, arena), **{name: partial(policy, arena, name) for name in POLICIES}}
