"""The upper bound of training and application together: a convex program over all CRs, with associations as shares."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from gainnet.core.errors import ConfigError, import_extra
from gainnet.orchestration.joint.demand import Reals
from gainnet.orchestration.joint.site import Site
from gainnet.orchestration.offer import Offer


@final
@dataclass(frozen=True)
class Best:
    """An optimum of the program.

    Args:
        gain: mean gain of a CR.
        served_share: requests that are served per request offered.
        share: [num_pairs], association $a$ of each pair of client and model in each CR.
        samples: [num_pairs], $x$.
        pairs: [3, num_pairs], int64: CR, client and model of each pair.
    """

    gain: float
    served_share: float
    share: Reals
    samples: Reals
    pairs: NDArray[np.int64]


@final
@dataclass(frozen=True)
class Frontier:
    r"""The largest gain at every share of served requests; no policy, clairvoyant or not, is beyond it.

    $\max \frac1R \sum_{r,m} w_m \ln(1 + \sum_n \omega_{nm} x_{nm} / x_0)$ s.t. in every CR, with $x = x_w + x_v$,

    - $A \log_2(1 + c\, t / A) \ge S_m a_{nm}$, $A \le B_n t$ each way, $t_d + \kappa x / F + t_u \le T a_{nm}$
    - $x_w \le \rho_w N_w T a_{nm}$, $x_v \le \rho_v N_v T a_{nm}$ (sensed), $\sum_m a_{nm} \le 1$
    - $\sum_m A_d + A_u + \beta x_w \le B_n T$, $\sum_m \kappa x + \kappa_v x_v \le F_n T$: the pools of a client
    - $\sum A_d + A_u + \beta x_w + \sum_k b_k \le B_e T$, $\sum \kappa^e_m x + \sum_k q_k \le F_e T$: those of an edge
    - $b_k \ge \lambda_k y_k T u_k$, $q_k / (T f_k) - \lambda_k y_k \ge 1 / (d_k - t_k)$, $y_k \le 1$: requests

    and $\sum_{r,k} \lambda_k y_k \ge \sigma R \sum_k \lambda_k$. Associations are shares $a$, and the matrices of a
    pool are their areas: whatever has its cells in every slot has them in the sum. Every class keeps its $q_k$ whether
    requests come or not; so do policies. Solved by CLARABEL (`pip install 'gainnet[joint]'`).

    Args:
        program: of cvxpy.
        sigma: its parameter.
        unknowns: variables by name.
        pairs: [3, num_pairs], int64: CR, client and model.
        offered_per_s: requests per second of all classes and CRs.
        rates: [num_crs, num_classes], offered rates.
        scale_samples: unit of the program's samples.
    """

    program: Any
    sigma: Any
    unknowns: dict[str, Any]
    pairs: NDArray[np.int64]
    offered_per_s: float
    rates: Reals
    scale_samples: float

    @staticmethod
    def of(offers: Sequence[Offer], site: Site) -> Frontier:
        """The program of some CRs.

        Args:
            offers: of the CRs, without batch.
            site: edges and their demand.

        Raises:
            MissingExtraError: cvxpy is not installed.
        """
        cvxpy = import_extra("cvxpy", "cvxpy", "joint")
        pairs = _Pairs.of(offers, site)
        x = {name: cvxpy.Variable(pairs.num, nonneg=True) for name in _OF_PAIRS}
        classes = len(offers) * len(site.demand.per_s)
        x |= {name: cvxpy.Variable(classes, nonneg=True) for name in _OF_CLASSES}
        sigma = cvxpy.Parameter(nonneg=True)
        rates = np.tile(site.demand.per_s, (len(offers), 1))
        offered = float(rates.sum())
        limits = [
            *pairs.clients(cvxpy, x),
            *pairs.edges(x),
            *_requests(site, x, len(offers)),
            rates.ravel() / offered @ x["served"] >= sigma,
        ]
        worth = cvxpy.log1p(pairs.worth @ (x["wireless"] + x["visual"]))
        gain = np.tile(site.weight, len(offers)) / len(offers) @ worth
        return Frontier(
            cvxpy.Problem(cvxpy.Maximize(gain), limits), sigma, x, pairs.index, offered, rates, site.scale_samples
        )

    def at(self, share: float) -> Best | None:
        """The optimum that serves at least a share of the offered requests; `None` where that cannot be."""
        self.sigma.value = share
        if not self._solved():
            return None
        value = {name: np.asarray(one.value) for name, one in self.unknowns.items()}
        served = float(self.rates.ravel() @ value["served"]) / self.offered_per_s
        samples = self.scale_samples * (value["wireless"] + value["visual"])
        return Best(float(self.program.value), served, value["share"], samples, self.pairs)

    def _solved(self) -> bool:
        """Whether there is a solution, which the program then has."""
        cvxpy = import_extra("cvxpy", "cvxpy", "joint")
        for tolerance, steps in product(TOLERANCES, _STEPS):
            settings = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), tolerance) | steps
            # Cones of pairs that are not used end at their apex, where the last digits are hard to get.
            with warnings.catch_warnings(), contextlib.suppress(cvxpy.error.SolverError):
                warnings.simplefilter("ignore", UserWarning)
                self.program.solve(solver=cvxpy.CLARABEL, **settings)
                if "optimal" in self.program.status:
                    return True
                if "infeasible" in self.program.status:
                    return False
        raise ConfigError("joint: the solver does not reach 1e-5; give numbers that are less far apart")


TOLERANCES: Final = (1e-7, 1e-6, 1e-5)
"""Of gap and feasibility, the first that the solver reaches; the gain of an optimum is that exact, relative to it."""

_STEPS: Final[tuple[dict[str, float], ...]] = ({}, {"linesearch_backtrack_step": 0.5}, {"min_switch_step_length": 1e-4})
"""Settings that are tried in turn: about one program in a thousand stalls with the usual step lengths."""

_OF_PAIRS = ("share", "area_down", "area_up", "time_down", "time_up", "wireless", "visual")
_OF_CLASSES = ("served", "spectrum", "computing")


def _requests(site: Site, x: dict[str, Any], num_crs: int) -> list[Any]:
    """Needs of classes, in shares of the pools of their edge."""
    demand, edge = site.demand, site.edge_of_class
    area = demand.per_s * demand.spectrum_hz_s / site.edge_hz[edge]
    # q_k / (T f_k) >= lambda_k y_k + 1 / (d_k - t_k), both sides times f_k / F_e.
    cycles, reserve = (y / site.edge_cycles_per_s[edge] for y in (demand.per_s * demand.cycles, demand.reserve))
    return [
        x["served"] <= 1,
        x["spectrum"] >= _times(np.tile(area, num_crs), x["served"]),
        x["computing"] >= _times(np.tile(cycles, num_crs), x["served"]) + np.tile(reserve, num_crs),
    ]


def _times(factor: Reals, variable: Any) -> Any:
    # Not `*`, which cvxpy takes for a product of matrices.
    return import_extra("cvxpy", "cvxpy", "joint").multiply(factor, variable)


def _nats(cvxpy: Any, snr: Reals, area: Any, time: Any) -> Any:
    """A ln(1 + snr t / A), jointly concave in both."""
    # Divided by an SNR that may be 1e5, with A ln(snr) added: or else the cones are too flat for the solver.
    unit = np.maximum(snr, 1.0)
    return _times(np.log(unit), area) - cvxpy.rel_entr(area, _times(1 / unit, area) + _times(snr / unit, time))


@final
@dataclass(frozen=True)
class _Pairs:
    """Pairs of client and model that are of use, of all CRs: samples in units of x0, areas and times of B T and T."""

    site: Site
    index: NDArray[np.int64]
    num_clients: int
    num_crs: int
    numbers: dict[str, Reals]

    @staticmethod
    def of(offers: Sequence[Offer], site: Site) -> _Pairs:
        parts = [_numbers(offer, site) for offer in offers]
        useful = [one["useful"] > 0 for one in parts]
        index = np.concatenate([np.stack([np.full(u.sum(), r), *np.nonzero(u)]) for r, u in enumerate(useful)], 1)
        numbers = {
            name: np.concatenate([one[name][u] for one, u in zip(parts, useful, strict=True)]) for name in parts[0]
        }
        return _Pairs(site, index, useful[0].shape[0], len(offers), numbers)

    @property
    def num(self) -> int:
        return len(self.index[0])

    def _sum(self, row: NDArray[np.int64], num_rows: int, value: Reals | float = 1.0) -> Any:
        values = np.broadcast_to(value, self.num)
        return csr_array((values, (row, np.arange(self.num))), shape=(num_rows, self.num))

    @property
    def worth(self) -> Any:
        """Sums over clients of correlation times samples, a row per CR and model."""
        row = self.index[0] * self.site.num_models + self.index[2]
        return self._sum(row, self.num_crs * self.site.num_models, self.numbers["worth"])

    def clients(self, cvxpy: Any, x: dict[str, Any]) -> list[Any]:
        """Every pair by itself, and the pools of every client."""
        n, samples = self.numbers, x["wireless"] + x["visual"]
        bits = _times(n["bits"], x["share"])
        row, num_rows = self.index[0] * self.num_clients + self.index[1], self.num_crs * self.num_clients
        together = self._sum(row, num_rows)
        return [
            _nats(cvxpy, n["snr_down"], x["area_down"], x["time_down"]) >= bits,
            _nats(cvxpy, n["snr_up"], x["area_up"], x["time_up"]) >= bits,
            x["area_down"] <= x["time_down"],
            x["area_up"] <= x["time_up"],
            x["time_down"] + _times(n["training"], samples) + x["time_up"] <= x["share"],
            x["wireless"] <= _times(n["most_wireless"], x["share"]),
            x["visual"] <= _times(n["most_visual"], x["share"]),
            together @ x["share"] <= 1,
            together @ (x["area_down"] + x["area_up"] + _times(n["sensing"], x["wireless"])) <= 1,
            together @ (_times(n["training"], samples) + _times(n["seeing"], x["visual"])) <= 1,
        ]

    def edges(self, x: dict[str, Any]) -> list[Any]:
        """Both pools of every edge."""
        n, site = self.numbers, self.site
        edge = site.edge_of_model[self.index[2]]
        num_rows = self.num_crs * site.num_edges
        row = self.index[0] * site.num_edges + edge
        of_class = (np.arange(self.num_crs)[:, None] * site.num_edges + site.edge_of_class).ravel()
        shape = (num_rows, len(of_class))
        asked = csr_array((np.ones(len(of_class)), (of_class, np.arange(len(of_class)))), shape=shape)
        area = x["area_down"] + x["area_up"] + _times(n["sensing"], x["wireless"])
        cycles = site.scale_samples * site.edge_cycles_per_sample[self.index[2]]
        return [
            self._sum(row, num_rows, n["band_hz"] / site.edge_hz[edge]) @ area + asked @ x["spectrum"] <= 1,
            self._sum(row, num_rows, cycles / (site.edge_cycles_per_s[edge] * site.duration_s))
            @ (x["wireless"] + x["visual"])
            + asked @ x["computing"]
            <= 1,
        ]


def _numbers(offer: Offer, site: Site) -> dict[str, Reals]:
    """Numbers of one CR, [num_clients, num_models] each."""
    pool, task, sensing, x0 = offer.pool, offer.tasks, offer.sensing, site.scale_samples
    rate = sensing.most_wireless_per_s + sensing.most_visual_per_s
    # Who cannot take a model down and up in the whole CR cannot take a share of it in that share of the CR either.
    linked = offer.exchange_s < pool.duration_s
    found = {
        "useful": (linked & (rate > 0) & (offer.correlation > 0)).double(),
        "worth": offer.correlation,
        "bits": math.log(2) * task.num_bits / pool.spectrum_hz_s,
        "snr_down": task.cn0_down_hz / pool.bandwidth_hz,
        "snr_up": task.cn0_up_hz / pool.bandwidth_hz,
        "training": x0 * task.cycles_per_sample / pool.cycles,
        "seeing": x0 * sensing.cycles_per_sample / pool.cycles,
        "sensing": x0 * sensing.spectrum_hz_s_per_sample / pool.spectrum_hz_s,
        "most_wireless": sensing.most_wireless_per_s * pool.duration_s / x0,
        "most_visual": sensing.most_visual_per_s * pool.duration_s / x0,
        "band_hz": pool.bandwidth_hz.expand_as(rate),
    }
    return {name: value.numpy() for name, value in found.items()}
