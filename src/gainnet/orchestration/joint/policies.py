"""Who trains and who is answered in a CR: drift plus penalty, and two baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol, final

import numpy as np
from numpy.typing import NDArray

from gainnet.orchestration.joint.allocation import Allocation, round_off
from gainnet.orchestration.joint.cells import Columns
from gainnet.orchestration.joint.demand import Reals
from gainnet.orchestration.joint.program import Solution, Worth, solve
from gainnet.orchestration.joint.site import Site
from gainnet.orchestration.offer import Offer

_LEAST_PRICE: Final = 1e-6
"""Gain per request that keeps free cells from staying empty."""
_NUM_STEPS: Final = 20
_DEBT: Final = 0.1
"""Share of the requests of a CR that is a heavy debt (assumed: chosen on scenarios that are in no table)."""
_HALF: Final = 0.5
_ROUNDING: Final = 1e-9


@final
@dataclass(frozen=True)
class Past:
    """All that a policy may know of the CRs before.

    Args:
        share: $\\sigma$, share of the offered requests that is to be served over all CRs, in [0, 1].
        owed_per_s: sum over CRs of the rate that was to be served less the rate that was.
        prices: gain that one request per second costs in the first CR, and how fast it rises with the debt.
    """

    share: float
    owed_per_s: float = 0.0
    prices: tuple[float, float] | None = None

    def after(self, allocation: Allocation, site: Site) -> Past:
        """The past of the next CR."""
        owed = self.share * site.offered_per_s - allocation.served_per_s(site)
        return replace(self, owed_per_s=self.owed_per_s + owed)


class JointPolicy(Protocol):
    """A way to fill both matrices of every edge in one CR, of which it knows nothing later."""

    def __call__(self, offer: Offer, site: Site, past: Past) -> tuple[Allocation, Past]:
        """The allocation of a CR, and the past as the next CR sees it."""


@final
@dataclass(frozen=True)
class Online:
    r"""Drift plus penalty: the gain of a CR less the drift of the debt of requests, in one linear program.

    $\max \sum_m w_m g_m - \phi(Q)$, $\phi(Q) = p_0 Q + \frac{p_1}{2} Q^2$, with the debt
    $Q = \sum_{r' \le r} (\sigma \Lambda - \sum_k \lambda_k y_k)$ after the CR. Unlike the linear bound of the drift
    (Neely 2010, section 4.1) it is taken as it is, and its virtual queue begins with a backlog: $p_0$ is the multiplier
    of $\sum_k \lambda_k y_k \ge \sigma \Lambda$ in the first CR, and $p_1$ such that a debt of a tenth of the requests
    of a CR makes a request worth as much as its share of the gain. The program is solved twice: relaxed, and with one
    model and one beginning for every client.
    """

    def __call__(self, offer: Offer, site: Site, past: Past) -> tuple[Allocation, Past]:
        columns, room = Columns.of(offer, site), _room(site, np.zeros_like(site.demand.per_s))
        every = np.ones_like(site.demand.per_s)
        if past.prices is None:
            past = replace(past, prices=_prices(columns, site, room, past.share))
        worth = _debt(past, site)
        relaxed = solve(columns, site, room, worth, every)
        chosen = columns.only(_settled(columns, relaxed.weight))
        allocation = round_off(offer, site, solve(chosen, site, room, worth, every), chosen)
        return allocation, past.after(allocation, site)


@final
@dataclass(frozen=True)
class StaticSplit:
    """A fixed part of both pools of every edge is kept for requests, as large as the share that is to be served."""

    def __call__(self, offer: Offer, site: Site, past: Past) -> tuple[Allocation, Past]:
        kept, reserve = past.share * site.pools, site.load_of(np.zeros_like(site.demand.per_s))
        # An edge whose part does not hold the deadlines answers nobody.
        able = np.all(kept >= reserve, axis=0, keepdims=True)[0, site.edge_of_class].astype(float)
        nobody = Columns.of(offer, site)
        nobody = nobody.only(np.zeros(len(nobody.client), dtype=bool))
        served = solve(nobody, site, (kept - reserve).clip(0.0), Worth.linear(1.0), able).served
        allocation = _trained(offer, site, np.minimum(site.pools - kept, site.pools - reserve), served)
        return allocation, past.after(allocation, site)


@final
@dataclass(frozen=True)
class Priority:
    """Requests come first, the same share of every class as far as edges suffice; training takes what is left."""

    def __call__(self, offer: Offer, site: Site, past: Past) -> tuple[Allocation, Past]:
        asked = np.full_like(site.demand.per_s, past.share)
        reserve = site.load_of(np.zeros_like(asked))
        taken = site.load_of(asked) - reserve
        fits = np.where(taken > 0, (site.pools - reserve) / np.where(taken > 0, taken, 1.0), 1.0).min(0).clip(0.0, 1.0)
        served = asked * fits[site.edge_of_class]
        allocation = _trained(offer, site, _room(site, served), served)
        return allocation, past.after(allocation, site)


JOINT_POLICIES: Mapping[str, Callable[[], JointPolicy]] = {
    "online": Online,
    "static_split": StaticSplit,
    "priority": Priority,
}
"""Policies by name."""


def most_served(columns: Columns, site: Site) -> float:
    """Largest share of the offered requests that edges can serve when nobody trains.

    Args:
        columns: any.
        site: edges.
    """
    nobody, every = columns.only(np.zeros(len(columns.client), dtype=bool)), np.ones_like(site.demand.per_s)
    served = solve(nobody, site, _room(site, 0 * every), Worth.linear(1.0), every).served
    return float(served @ site.demand.per_s) / site.offered_per_s


def _room(site: Site, served: Reals) -> Reals:
    """[2, num_edges], what requests leave when shares [num_classes] are served."""
    return (site.pools - site.load_of(served)).clip(0.0)


def _trained(offer: Offer, site: Site, room: Reals, served: Reals) -> Allocation:
    """Training in given room [2, num_edges] beside requests [num_classes] that are decided."""
    columns, none = Columns.of(offer, site), np.zeros_like(served)
    relaxed = solve(columns, site, room, Worth.linear(0.0), none)
    chosen = columns.only(_settled(columns, relaxed.weight))
    found = solve(chosen, site, room, Worth.linear(0.0), none)
    return round_off(offer, site, Solution(found.weight, served, found.gain, found.price), chosen)


def _prices(columns: Columns, site: Site, room: Reals, share: float) -> tuple[float, float]:
    every = np.ones_like(site.demand.per_s)
    gain = solve(columns, site, room, Worth.linear(_LEAST_PRICE), every).gain
    reached = most_served(columns, site) * site.offered_per_s
    # A hair below what can be served at all, or rounding makes the program infeasible.
    needed = min(share * site.offered_per_s, reached * (1 - _ROUNDING))
    first = solve(columns, site, room, Worth.linear(_LEAST_PRICE), every, needed)
    return first.price, max(gain, _LEAST_PRICE) / (_DEBT * site.offered_per_s)


def _debt(past: Past, site: Site) -> Worth:
    """Less of $\\phi$, as the chords of steps of the rate."""
    assert past.prices is not None
    first, rise = past.prices
    rate = np.linspace(0, site.offered_per_s, _NUM_STEPS + 1)
    middle = (rate[1:] + rate[:-1]) / 2
    debt = past.owed_per_s + past.share * site.offered_per_s - middle
    # Requests are never refused where there is room, however much was served before.
    slope = (first + rise * debt / site.offered_per_s).clip(_LEAST_PRICE)
    value = np.concatenate([[0.0], np.cumsum(slope * np.diff(rate))[:-1]])
    return Worth(rate[:-1], value, slope)


def _settled(columns: Columns, weight: Reals) -> NDArray[np.bool_]:
    """[num_columns], those of the one model and the one beginning that weigh most for each client that takes part."""
    num_clients, num_models = int(columns.client.max(initial=0)) + 1, int(columns.model.max(initial=0)) + 1
    num_starts = int(columns.start.max(initial=0)) + 1
    mass = np.zeros((num_clients, num_models, num_starts))
    np.add.at(mass, (columns.client, columns.model, columns.start), weight)
    model = mass.sum(-1).argmax(-1)
    start = mass[np.arange(num_clients), model].argmax(-1)
    # Who is mostly idle in the relaxed program stays idle: its fixed cost, the model, is not paid.
    active = mass.sum((-1, -2)) >= _HALF
    fits: NDArray[np.bool_] = (
        active[columns.client] & (columns.model == model[columns.client]) & (columns.start == start[columns.client])
    )
    return fits
