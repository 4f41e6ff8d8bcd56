"""Contributions of clients, and payments under which reporting the true cost is best for each of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import final

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random

Value = Callable[[frozenset[str]], float]
"""Value of a set of clients together, for example the fall in loss of the model that they make."""

MAX_EXACT = 6
MAX_AUCTION = 16


def leave_one_out(players: Sequence[str], value: Value) -> dict[str, float]:
    r"""$v(N) - v(N \setminus i)$ per client: 0 for each of two that can stand in for each other.

    >>> leave_one_out(["a", "b"], lambda members: float(len(members) ** 2))
    {'a': 3.0, 'b': 3.0}
    """
    everyone = frozenset(players)
    return {player: value(everyone) - value(everyone - {player}) for player in players}


def shapley(players: Sequence[str], value: Value) -> dict[str, float]:
    r"""The mean of what a client adds over all orders in which the clients may come.

    $\phi_i = \sum_{S \subseteq N \setminus i} \frac{|S|!\,(n - |S| - 1)!}{n!} \left(v(S \cup i) - v(S)\right)$
    (Shapley 1953); it is the only one that adds up to $v(N) - v(\emptyset)$, treats equals alike, gives nothing to who
    adds nothing, and adds up over values. It takes $2^n$ values.

    Args:
        players: at most `MAX_EXACT` names.
        value: of every coalition.

    Raises:
        ConfigError: there are too many players; sample orders then.

    >>> shapley(["left", "right", "right too"], lambda s: float("left" in s and len(s) > 1))["left"]
    0.666...
    """
    if len(players) > MAX_EXACT:
        raise ConfigError(f"clients: {len(players)} have {2 ** len(players)} coalitions; sample orders in their place")
    count, value = len(players), cache(value)  # coalitions of different players meet again, each a training of its own
    shares = {}
    for player in players:
        others = [other for other in players if other != player]
        shares[player] = math.fsum(
            (value(frozenset((*some, player))) - value(frozenset(some))) / (count * math.comb(count - 1, size))
            for size in range(count)
            for some in itertools.combinations(others, size)
        )
    return shares


def sampled_shapley(players: Sequence[str], value: Value, num_orders: int, random: Random) -> dict[str, float]:
    """The mean of what a client adds over drawn orders, each of which is also walked backwards (Mitchell et al. 2022).

    Unbiased, and it adds up exactly. Arguments as `shapley`, for any number of players.

    Args:
        num_orders: how many are drawn, >= 1; it takes twice as many times the number of players values.
        random: one item.

    >>> def value(some: frozenset[str]) -> float:
    ...     return float(len(some) > 0) + 0.5 * ("a" in some)
    >>> exact = shapley(["a", "b", "c"], value)
    >>> drawn = sampled_shapley(["a", "b", "c"], value, 50, Random.of(1))
    >>> round(sum(drawn.values()), 6) == round(sum(exact.values()), 6)
    True
    >>> max(drawn, key=drawn.get)
    'a'
    """
    # Orders repeat each other's sets.
    value, total = cache(value), dict.fromkeys(players, 0.0)
    for index in range(num_orders):
        order = [players[int(i)] for i in random.generators("order", index)[0].permutation(len(players))]
        # Who comes late in an order comes early in the reverse: the errors of the two cancel in part.
        for walk in (order, order[::-1]):
            before = value(frozenset())
            for place, player in enumerate(walk, 1):
                after = value(frozenset(walk[:place]))
                total[player] += (after - before) / (2 * num_orders)
                before = after
    return total


@final
@dataclass(frozen=True)
class Auction:
    """Who takes part, and what everybody is paid.

    Args:
        winners: clients that are asked to take part.
        payments: to every client; 0 to those who are not asked.
        value: what the winners are worth together.
    """

    winners: frozenset[str]
    payments: Mapping[str, float]
    value: float

    @property
    def budget(self) -> float:
        """Sum of all payments."""
        return math.fsum(self.payments.values())


def vcg(costs: Mapping[str, float], value: Value) -> Auction:
    r"""The Vickrey-Clarke-Groves auction: the best set by reported costs, and to each what it spares the others.

    $S^* = \arg\max_S v(S) - \sum_{j \in S} c_j,\quad
    p_i = v(S^*) - \sum_{j \in S^* \setminus i} c_j - \max_{S \not\ni i} \left(v(S) - \sum_{j \in S} c_j\right)$
    (Vickrey 1961, Clarke 1971, Groves 1973)

    No client gains by reporting another cost than its own, whatever the others report, and none is paid less than it
    reported. The edge may pay more than the winners are worth; `Auction.budget` says what.

    Args:
        costs: reported, >= 0, in the unit of the value; at most `MAX_AUCTION` clients, since all sets are tried.
        value: of every coalition, whatever the costs.

    Raises:
        ConfigError: too many clients, or a cost that is negative or no number.

    >>> auction = vcg({"cheap": 1.0, "dear": 3.0}, lambda members: 5.0 if members else 0.0)
    >>> sorted(auction.winners), auction.payments["cheap"]
    (['cheap'], 3.0)
    """
    if len(costs) > MAX_AUCTION:
        raise ConfigError(f"clients: {len(costs)} have too many sets to try; give at most {MAX_AUCTION}")
    if bad := [name for name, cost in costs.items() if not 0.0 <= cost < math.inf]:
        raise ConfigError(f"cost: {bad[0]} reports {costs[bad[0]]}; give a number of 0 or more")
    value = cache(value)
    winners, _ = _best(costs, value, costs)
    payments = dict.fromkeys(costs, 0.0)
    for player in winners:
        others = math.fsum(costs[other] for other in winners if other != player)
        # The payment depends on the others' reports alone, which is why no report of one's own pays.
        _, without = _best(costs, value, [other for other in costs if other != player])
        payments[player] = value(winners) - others - without
    return Auction(winners, payments, value(winners))


def _best(costs: Mapping[str, float], value: Value, players: Collection[str]) -> tuple[frozenset[str], float]:
    """(the set of largest welfare, its welfare); of equals the first, the smaller before the larger."""
    best, welfare = frozenset[str](), value(frozenset())
    for size in range(1, len(players) + 1):
        for some in itertools.combinations(sorted(players), size):
            found = value(frozenset(some)) - math.fsum(costs[player] for player in some)
            if found > welfare:
                best, welfare = frozenset(some), found
    return best, welfare
