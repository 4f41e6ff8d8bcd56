"""Contributions and payments of a round, by client: written down beside a run, wherever clients train."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, final

from torch import Tensor

from gainnet.core.files import write_whole
from gainnet.core.randomness import Random
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Arrived, Merged, Rule, State, WeightedMean
from gainnet.learning.safeguards.contributions import (
    MAX_AUCTION,
    MAX_EXACT,
    Value,
    leave_one_out,
    sampled_shapley,
    shapley,
    vcg,
)
from gainnet.models.language import mean_loss

PAYMENTS: Final = "payments.jsonl"
MAX_COST: Final = 1e6
"""Largest cost that a client may report, in nats per token."""
_NUM_ORDERS: Final = 20

Shares = Callable[[Sequence[str], Value, Random], dict[str, float]]
"""Shares of the players: what each has added to the value of all."""


def by_shapley(players: Sequence[str], value: Value, random: Random) -> dict[str, float]:
    """As `Shares`: Shapley's values, exact up to `MAX_EXACT` players, else over 20 drawn orders.

    >>> by_shapley(["a", "b"], lambda members: float(len(members)), Random.of(0))
    {'a': 1.0, 'b': 1.0}
    """
    if len(players) <= MAX_EXACT:
        return shapley(players, value)
    return sampled_shapley(players, value, _NUM_ORDERS, random.child("contributions"))


def by_leave_one_out(players: Sequence[str], value: Value, random: Random) -> dict[str, float]:
    """As `Shares`: what is missing without each; for n players it takes n + 1 values."""
    return leave_one_out(players, value)


@final
@dataclass(frozen=True)
class Incentives:
    """How contributions are valued.

    Args:
        shares: of the players in the value of all.
        rows: [num_rows, length], text that the fall in loss is measured on; nobody trains on it.
    """

    shares: Shares
    rows: Tensor


@final
@dataclass(frozen=True)
class Valued:
    """A rule that also writes down contributions and payments, a line of JSON per round.

    The value of a set of clients is the fall in loss of the weighted mean of their updates; who is paid what is decided
    by `vcg` on the costs that clients report, up to `MAX_AUCTION` of them. The next state is that of the rule alone.

    Args:
        rule: merges.
        incentives: how.
        model_of: the model of a state.
        path: of the file.
        costs: reported, in nats per token; 0 for whoever reports none.
    """

    rule: Rule
    incentives: Incentives
    model_of: Callable[[State], Any]
    path: Path
    costs: Callable[[], Mapping[NodeId, float]] = dict

    def __call__(self, start: State, arrived: Arrived, random: Random) -> Merged:
        """As `Rule`."""
        merged = self.rule(start, arrived, random)
        self._write({"model": fingerprint(start), **self._judged(start, arrived, random)})
        return merged

    def _judged(self, start: State, arrived: Arrived, random: Random) -> dict[str, Any]:
        names, mean = sorted(str(client.name) for client, _ in arrived), WeightedMean()
        untouched = self._loss(start)

        @cache
        def value(members: frozenset[str]) -> float:
            chosen = [(client, values) for client, values in arrived if client.name in members]
            return untouched - self._loss(mean(start, chosen, random).state) if chosen else 0.0

        reported = self.costs()
        costs = {name: reported.get(NodeId(name), 0.0) for name in names}
        found: dict[str, Any] = {"value": value(frozenset(names)), "costs": costs}
        found["contributions"] = self.incentives.shares(names, value, random) if names else {}
        if len(names) <= MAX_AUCTION:
            auction = vcg(costs, value)
            found |= {"payments": dict(auction.payments), "winners": sorted(auction.winners)}
        return found

    def _loss(self, state: State) -> float:
        return mean_loss(self.model_of(state), self.incentives.rows)

    def _write(self, line: Mapping[str, Any]) -> None:
        kept = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        # A round that runs again after a kill replaces its line.
        begins = [json.loads(each)["model"] for each in kept]
        kept = kept[: begins.index(line["model"])] if line["model"] in begins else kept
        write_whole(self.path, "".join(f"{x}\n" for x in (*kept, json.dumps(line, sort_keys=True))).encode())
