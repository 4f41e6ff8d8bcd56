"""Contributions against axioms and closed forms; payments against every misreport."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.learning.safeguards.contributions import leave_one_out, sampled_shapley, shapley, vcg

NAMES = ("a", "b", "c", "d")


def game(seed: int, names: tuple[str, ...] = NAMES) -> dict[frozenset[str], float]:
    """Any value per set; larger sets are worth more on the whole, and not always."""
    rng = np.random.default_rng(seed)
    sets = [frozenset(some) for size in range(len(names) + 1) for some in itertools.combinations(names, size)]
    return {s: (float(rng.normal(len(s), 1.0)) if s else 0.0) for s in sets}


def test_shapley_is_the_mean_over_all_orders() -> None:
    table = game(1)
    total = dict.fromkeys(NAMES, 0.0)
    for order in itertools.permutations(NAMES):
        for place, name in enumerate(order):
            total[name] += table[frozenset(order[: place + 1])] - table[frozenset(order[:place])]
    wanted = {name: x / math.factorial(4) for name, x in total.items()}
    assert shapley(NAMES, table.__getitem__) == pytest.approx(wanted)
    assert math.fsum(wanted.values()) == pytest.approx(table[frozenset(NAMES)])


def test_shapley_of_the_airport_game() -> None:
    """A runway for the largest: everybody shares what it needs (Littlechild and Owen 1973)."""
    needs = {"a": 1.0, "b": 3.0, "c": 3.0, "d": 7.0}
    found = shapley(NAMES, lambda s: max((needs[name] for name in s), default=0.0))
    b = 1 / 4 + 2 / 3
    assert found == pytest.approx({"a": 1 / 4, "b": b, "c": b, "d": b + 4})


def test_sampled_orders_add_up_and_come_near() -> None:
    table = game(2)
    found = sampled_shapley(NAMES, table.__getitem__, 3000, Random.of(0))
    assert math.fsum(found.values()) == pytest.approx(table[frozenset(NAMES)])
    assert found == pytest.approx(shapley(NAMES, table.__getitem__), abs=0.05)
    with pytest.raises(ConfigError, match="clients"):
        shapley([str(i) for i in range(7)], lambda s: 0.0)


def test_who_can_be_replaced_has_no_worth_when_left_out() -> None:
    value = lambda s: float(len(s & {"a", "b"}) > 0)  # noqa: E731
    assert leave_one_out(NAMES, value) == dict.fromkeys(NAMES, 0.0)
    assert shapley(NAMES, value) == pytest.approx({"a": 0.5, "b": 0.5, "c": 0.0, "d": 0.0})


@pytest.mark.parametrize("seed", range(6))
def test_nobody_gains_by_a_false_cost(seed: int) -> None:
    """Brute force: every client, every report on a grid, whatever the others report."""
    table, rng = game(seed), np.random.default_rng([seed, 1])
    for _ in range(4):
        costs = {name: float(rng.uniform(0, 2.5)) for name in NAMES}
        honest = vcg(costs, table.__getitem__)
        for name in NAMES:
            gain = honest.payments[name] - costs[name] * (name in honest.winners)
            assert gain >= -1e-12, "nobody loses by taking part"
            for report in np.linspace(0.0, 4.0, 17):
                told = vcg(costs | {name: float(report)}, table.__getitem__)
                assert told.payments[name] - costs[name] * (name in told.winners) <= gain + 1e-12


def test_the_set_is_the_best_and_the_budget_is_told() -> None:
    table, costs = game(3), {"a": 0.2, "b": 1.4, "c": 0.7, "d": 2.0}
    found = vcg(costs, table.__getitem__)
    welfare = {s: v - math.fsum(costs[name] for name in s) for s, v in table.items()}
    assert welfare[found.winners] == max(welfare.values())
    assert found.budget == pytest.approx(math.fsum(found.payments.values()))
    assert found.value == table[found.winners]
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="cost"):
            vcg({"a": bad}, lambda s: 0.0)
