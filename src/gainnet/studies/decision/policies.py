"""Opponents of the decision: a fixed configuration, one choice after the other, and the constrained optimum of MEG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gainnet.generation.decision import Considered, DecisionTable, decide
from gainnet.generation.decision.choice import at_power
from gainnet.studies.decision.question import CVPO, DECISION, FIXED, GREEDY, Asked

ENOUGH: Final = 0.02
"""Share of requests below the most that a faster fixed configuration may keep less."""

Choice = Callable[[Asked], Considered]


def policies(table: DecisionTable, planned: Sequence[Asked]) -> Mapping[str, Choice]:
    """Every policy: a request to the configuration, and the power of the edge, that serves it.

    Args:
        table: measured configurations, which all policies know.
        planned: requests of the same population on which fixed configurations are chosen.
    """
    fixed = best_fixed(table, planned)
    return {
        DECISION: lambda asked: decide(asked.wanted, asked.state, table).chosen,
        FIXED: lambda asked: _named(asked, table, fixed[asked.device]),
        GREEDY: lambda asked: greedy(asked, table),
        CVPO: lambda asked: constrained(asked, table),
    }


def best_fixed(table: DecisionTable, planned: Sequence[Asked]) -> dict[str, str]:
    """Name of one configuration for every class of devices.

    By the tables it keeps the bounds of most planned requests; of those within 2 % of that, it has the least mean
    latency on what it keeps.

    Args:
        table: measured configurations.
        planned: requests.
    """
    found: dict[str, str] = {}
    for device in sorted({asked.device for asked in planned}):
        priced = [at_power(asked.wanted, asked.state, table) for asked in planned if asked.device == device]
        columns = list(zip(*priced, strict=True))
        kept = [sum(not each.reason for each in column) / len(column) for column in columns]
        near = [column for column, share in zip(columns, kept, strict=True) if share >= max(kept) - ENOUGH]
        found[device] = min(near, key=_mean_latency_s)[0].configuration.name
    return found


def greedy(asked: Asked, table: DecisionTable) -> Considered:
    """One choice after the other: the protocol that computes soonest, then the least uses that keep the quality."""
    priced, state = at_power(asked.wanted, asked.state, table), asked.state
    work = table.work(state.priced_as)
    edge_s = work["edge"] / state.edge.flops_per_s + state.queue_s * (work["edge"] > 0)
    device_s = (work["before"] + work["after"]) / state.device.flops_per_s
    soonest = int((edge_s + device_s).argmin())
    protocol = _protocol(priced[soonest])
    own = [each for each in priced if _protocol(each) == protocol]
    good = [each for each in own if each.psnr_p10_db >= asked.wanted.psnr_db]
    best = max(own, key=lambda each: each.psnr_p10_db)
    return min(good, key=lambda each: each.num_channel_uses, default=best)


def constrained(asked: Asked, table: DecisionTable) -> Considered:
    """Best quality under the bounds of latency and energy, over steps of the edge and compression of its seed.

    The problem of "Accelerating Mobile Edge Generation by Constrained Learning" (IEEE TCCN 11(3), 2025), whose agent
    learns what is taken from the tables here, its optimum: seeds go down, the device decodes, and the action is the
    number of denoising steps and how much a seed is compressed. Where nothing keeps the bounds, the soonest is taken.
    """
    priced = [each for each in at_power(asked.wanted, asked.state, table) if _protocol(each) == "eiug"]
    wanted = asked.wanted
    kept = [each for each in priced if each.latency_s <= wanted.latency_s and each.energy_j <= wanted.energy_j]
    soonest = min(priced, key=lambda each: each.latency_s)
    return max(kept, key=lambda each: each.psnr_db, default=soonest)


def _named(asked: Asked, table: DecisionTable, name: str) -> Considered:
    return next(x for x in at_power(asked.wanted, asked.state, table) if x.configuration.name == name)


def _protocol(each: Considered) -> str:
    return str(each.configuration.settings["protocol"]).partition("(")[0]


def _mean_latency_s(column: Sequence[Considered]) -> float:
    kept = [each.latency_s for each in column if not each.reason]
    return math.fsum(kept) / len(kept) if kept else math.inf
