"""The linear program of one CR: columns are rounds of clients as cells of both matrices of an edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, vstack

from gainnet.core.errors import ConfigError
from gainnet.orchestration.joint.cells import NUM_SLOTS, Columns
from gainnet.orchestration.joint.demand import Reals
from gainnet.orchestration.joint.site import Site

_NUM_CUTS: Final = 12


@final
@dataclass(frozen=True)
class Worth:
    r"""How much serving requests is worth: $v(r) = \min_i (v_i + s_i (r - r_i))$, concave in the rate r.

    Args:
        rate: [num_cuts], served requests per second at which the function is touched.
        value: [num_cuts], its value there.
        slope: [num_cuts], gain that one more request per second is worth there, >= 0.
    """

    rate: Reals
    value: Reals
    slope: Reals

    @staticmethod
    def linear(price: float) -> Worth:
        """A price per request per second."""
        return Worth(np.zeros(1), np.zeros(1), np.array([price]))


@final
@dataclass(frozen=True)
class Solution:
    """An optimum of the program.

    Args:
        weight: [num_columns], share of each column.
        served: [num_classes], share of each class that is served.
        gain: value of the piecewise linear gain, at least the gain itself.
        price: gain that one more required request per second would cost.
    """

    weight: Reals
    served: Reals
    gain: float
    price: float


def solve(columns: Columns, site: Site, room: Reals, worth: Worth, most: Reals, least_per_s: float = 0.0) -> Solution:
    r"""The best mixture of columns, with requests that take their cells in every slot.

    $\max \sum_m w_m g_m + v$ s.t. $\sum_{c \in n} z_c \le 1$ for each client,
    $\sum_{c \in e} z_c A_{cs} + \sum_{k \in e} \lambda_k y_k u_k T / S \le B_e T / S$ for each slot s of each edge,
    $\sum_{c \in e} z_c C_{cs} + \sum_{k \in e} \lambda_k y_k f_k T / S \le F_e T / S$ likewise,
    $\sum_k \lambda_k y_k \ge r$, with tangents of $g_m \le \ln(1 + X_m / x_0)$ and of the worth v of the rate.

    Args:
        columns: rounds that clients could have.
        site: edges.
        room: [2, num_edges], spectrum in Hz and computing in cycles per second, without what requests reserve.
        worth: of serving requests.
        most: [num_classes], largest share of each class that may be served.
        least_per_s: $r$, requests per second that have to be served.

    Raises:
        ConfigError: so many requests cannot be served.
    """
    places = _Places(len(columns.client), len(site.demand.per_s), site.num_models)
    demand = site.demand
    parts = [
        _one_round_each(columns, places),
        _slots(columns, site, places, 0, room[0], demand.per_s * demand.spectrum_hz_s),
        _slots(columns, site, places, 1, room[1], demand.per_s * demand.cycles),
        _gains(columns, site, places),
        _worths(site, places, worth),
        # Last, so that its multiplier is the last one.
        (places.rows([0] * places.classes, places.served, -demand.per_s, 1), np.array([-least_per_s])),
    ]
    cost = np.zeros(places.total)
    cost[places.gains], cost[-1] = -site.weight, -1.0
    high = np.ones(places.total)
    high[places.served] = most
    high[places.gains.start :] = np.inf
    bounds: Any = np.stack([np.zeros(places.total), high], -1)
    # The worth of requests may be a debt.
    bounds[-1, 0] = -np.inf
    matrix, limits = vstack([rows for rows, _ in parts]), np.concatenate([limit for _, limit in parts])
    # Looking for what could be removed takes as long as solving: every column is of use.
    found: Any = linprog(cost, matrix, limits, bounds=bounds, method="highs", options={"presolve": False})
    if found.x is None:
        raise ConfigError(f"requests: {least_per_s:.3g} a second cannot be served; ask for fewer")
    gain = float(site.weight @ found.x[places.gains])
    served = found.x[places.served].clip(0.0, 1.0)
    return Solution(found.x[: places.columns], served, gain, -float(found.ineqlin.marginals[-1]))


@final
@dataclass(frozen=True)
class _Places:
    """Variables of the program: columns, shares of classes, gains of models, worth of requests."""

    columns: int
    classes: int
    models: int

    @property
    def total(self) -> int:
        return self.columns + self.classes + self.models + 1

    @property
    def served(self) -> slice:
        return slice(self.columns, self.columns + self.classes)

    @property
    def gains(self) -> slice:
        return slice(self.columns + self.classes, self.total - 1)

    def rows(self, row: Any, variables: Any, value: Any, num_rows: int) -> Any:
        """A sparse block; `variables` are indices, or a slice of them."""
        if isinstance(variables, slice):
            variables = np.arange(variables.start, variables.stop)
        row, variables, value = (np.asarray(x).ravel() for x in np.broadcast_arrays(row, variables, value))
        return csr_array((value, (row, variables)), shape=(num_rows, self.total))


def _one_round_each(columns: Columns, places: _Places) -> tuple[Any, Reals]:
    num_clients = int(columns.client.max(initial=-1)) + 1
    return places.rows(columns.client, slice(0, places.columns), 1.0, num_clients), np.ones(num_clients)


def _slots(columns: Columns, site: Site, places: _Places, pool: int, room: Reals, asked: Reals) -> tuple[Any, Reals]:
    """Every slot of every edge, in shares of its cell, so that Hz s and cycles are of one size for the solver."""
    # A room that is no room leaves cells of 1 Hz s, which nothing fits into either.
    cell = np.maximum(room * site.duration_s / NUM_SLOTS, 1.0)
    slot = np.arange(NUM_SLOTS)
    edge = site.edge_of_model[columns.model]
    trained = places.rows(
        edge[:, None] * NUM_SLOTS + slot, np.arange(places.columns)[:, None],
        columns.cells[pool] / cell[edge][:, None], site.num_edges * NUM_SLOTS,
    )  # fmt: skip
    of_class = site.edge_of_class
    taken = asked * site.duration_s / NUM_SLOTS / cell[of_class]
    answered = places.rows(
        of_class[:, None] * NUM_SLOTS + slot, places.columns + np.arange(places.classes)[:, None],
        taken[:, None], site.num_edges * NUM_SLOTS,
    )  # fmt: skip
    return trained + answered, np.ones(site.num_edges * NUM_SLOTS)


def _gains(columns: Columns, site: Site, places: _Places) -> tuple[Any, Reals]:
    """Tangents of the concave gain of every model."""
    # Nobody gives a model more than its best column of all of its columns.
    best = np.zeros((int(columns.client.max(initial=0)) + 1, places.models))
    np.maximum.at(best, (columns.client, columns.model), columns.worth)
    # Squared spacing: the gain bends most near 0.
    point = np.linspace(0, 1, _NUM_CUTS) ** 2 * best.sum(0)[:, None]
    slope = 1 / (site.scale_samples + point)
    cut = np.arange(point.size).reshape(point.shape)
    worth = -slope[columns.model] * columns.worth[:, None]
    samples = places.rows(cut[columns.model], np.arange(places.columns)[:, None], worth, point.size)
    gains = places.rows(cut, places.gains.start + np.arange(places.models)[:, None], 1.0, point.size)
    return samples + gains, (np.log1p(point / site.scale_samples) - slope * point).ravel()


def _worths(site: Site, places: _Places, worth: Worth) -> tuple[Any, Reals]:
    number = np.arange(len(worth.rate))
    served = -worth.slope[:, None] * site.demand.per_s
    classes = places.columns + np.arange(places.classes)
    rows = places.rows(number[:, None], classes, served, len(number))
    return rows + places.rows(number, places.total - 1, 1.0, len(number)), worth.value - worth.slope * worth.rate
