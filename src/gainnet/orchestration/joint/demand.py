"""Requests of users, class by class, as the load that they are to an edge."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.core.errors import ConfigError, check_range
from gainnet.core.randomness import Random
from gainnet.orchestration.exchange import least_duration_s
from gainnet.orchestration.reception import cn0_of_gain_hz
from gainnet.orchestration.scenario import Requests, Scenario, scenario_of
from gainnet.radio import pathloss

Reals = NDArray[np.float64]

_NUM_USERS = 64
_CORE_CYCLES_PER_S = 3e9
_EDGE_CYCLES_PER_S = 20 * _CORE_CYCLES_PER_S
"""Twenty cores (assumed)."""
_EDGE_CYCLES_PER_SAMPLE = 4e8
"""Of a model's edge part, several times what a client spends on its own (assumed)."""
_USUAL: dict[str, float] = {"num_bits": 4e6, "cycles": 6e9, "deadline_s": 2.0, "bandwidth_hz": 5e6}
"""A picture of half a megabyte that takes two seconds of one core (assumed)."""


@final
@dataclass(frozen=True)
class Measured:
    """A running edge server as it was seen: what it is asked for, and what an answer takes.

    Args:
        requests_per_s: of all models together, > 0.
        busy_s: processor time of an answer in s, > 0.
        spectrum_hz_s: channel uses of an answer, which are Hz s; `None` where its answers use no air.

    Raises:
        ConfigError: a number is not positive.
    """

    requests_per_s: float
    busy_s: float
    spectrum_hz_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("requests_per_s", "busy_s"):
            value = getattr(self, name)
            check_range(0 < value < math.inf, f"edge.{name}", value, "more than 0; let it answer something first")


@final
@dataclass(frozen=True)
class Demand:
    """Classes of requests.

    Args:
        model: [num_classes], int64, model that each is for.
        per_s: [num_classes], offered rate $\\lambda_k$ in requests per second.
        spectrum_hz_s: [num_classes], spectrum area $u_k$ of an answer.
        cycles: [num_classes], cycles $f_k$ of an answer.
        slack_s: [num_classes], time $d_k - t_k$ that the air leaves of the deadline for waiting and computing, > 0.
    """

    model: NDArray[np.int64]
    per_s: Reals
    spectrum_hz_s: Reals
    cycles: Reals
    slack_s: Reals

    @property
    def reserve(self) -> Reals:
        """[num_classes], cycles per second that keep the mean delay of an M/M/1 queue with hardly a request."""
        return self.cycles / self.slack_s

    def cycles_per_s(self, share: Reals) -> Reals:
        r"""[num_classes], $q_k / T$: computing that holds the deadline when shares [num_classes] are served.

        $\frac{q_k}{T f_k} - \lambda_k y_k \ge \frac{1}{d_k - t_k}$   (mean delay of M/M/1, Kleinrock 1975, eq. 3.26)
        """
        return self.cycles * self.per_s * share + self.reserve


def demand_of(scenario: Scenario, random: Random) -> Demand:
    """The demand of a scenario, with the links of users that are drawn around each edge.

    Users see median path loss, in sight or not; nobody moves while it waits (assumed).

    Args:
        scenario: with classes of requests.
        random: one stream.

    Raises:
        ConfigError: an answer takes longer than its deadline on the air alone.

    >>> from gainnet.orchestration.scenario import load_scenario
    >>> demand_of(with_requests(load_scenario("street"), 5.0), Random.of(1)).per_s
    array([1.25, 1.25, 1.25, 1.25])
    """
    air_s = np.array([_air_s(scenario, one, random.child("users", k)) for k, one in enumerate(scenario.requests)])
    for number, (one, taken_s) in enumerate(zip(scenario.requests, air_s, strict=True)):
        check_range(
            taken_s < one.deadline_s, f"requests.{number}.deadline_s", one.deadline_s,
            f"more than the {taken_s:.3g} s that the answer is on the air",
        )  # fmt: skip

    def column(name: str) -> Reals:
        return np.array([getattr(one, name) for one in scenario.requests], dtype=np.float64)

    model = np.array([one.model for one in scenario.requests], dtype=np.int64)
    spectrum = air_s * column("bandwidth_hz")
    return Demand(model, column("per_s"), spectrum, column("cycles"), column("deadline_s") - air_s)


def _air_s(scenario: Scenario, request: Requests, random: Random) -> float:
    """Mean time of an answer on the air over drawn users."""
    radio = scenario.radio
    # The square root makes users uniform over the disc rather than crowded in its middle.
    distance_m = request.within_m * random.uniform((_NUM_USERS,), "distance").double().sqrt().reshape(-1)
    in_sight = random.uniform((_NUM_USERS,), "sight").reshape(-1) < pathloss.line_of_sight_probability(distance_m)
    loss_db = pathloss.path_loss_db(distance_m, in_sight, radio.carrier_ghz, radio.edge_height_m, radio.client_height_m)
    down, _ = cn0_of_gain_hz(scenario, 10 ** (-loss_db / 10))
    bits, band = (torch.tensor(x, dtype=torch.float64) for x in (request.num_bits, request.bandwidth_hz))
    times_s: Tensor = least_duration_s(bits, band, down)
    return float(times_s.mean())


def with_requests(scenario: Scenario, per_s: float, measured: Measured | None = None) -> Scenario:
    """The scenario with requests of its own, or with usual ones for every model, at a given rate of all together.

    Classes of the scenario keep their shares of the rate. Edges and models that say nothing about computing get usual
    numbers (assumed: 20 cores of 3 GHz, 4e8 cycles a sample).

    Args:
        scenario: any.
        per_s: requests per second of all classes, > 0.
        measured: answers take as much as those of a running edge server; as the scenario says, or usual, if `None`.

    Raises:
        ConfigError: the rate is not positive, or edges do not suffice to hold the deadlines.
    """
    check_range(0 < per_s < math.inf, "requests_per_s", per_s, "a positive number, such as 5")
    fields = scenario.model_dump()
    for edge in fields["edges"]:
        edge.setdefault("cycles_per_s", _EDGE_CYCLES_PER_S)
    for model in fields["models"]:
        model.setdefault("edge_cycles_per_sample", _EDGE_CYCLES_PER_SAMPLE)
    usual = [{"model": m, "per_s": 1.0, **_USUAL} for m in range(len(scenario.models))]
    classes: list[dict[str, Any]] = fields.get("requests") or usual
    total = math.fsum(one["per_s"] for one in classes)
    for one in classes:
        one["per_s"] *= per_s / total
        if measured is not None:
            # Seconds of one core of the server, as cycles of such a core of the edge.
            one["cycles"] = measured.busy_s * _CORE_CYCLES_PER_S
    return scenario_of(fields | {"requests": classes})


def as_measured(demand: Demand, measured: Measured) -> Demand:
    """The demand with the channel uses that a running edge server counted; arguments as of `with_requests`."""
    if measured.spectrum_hz_s is None:
        return demand
    return replace(demand, spectrum_hz_s=np.full_like(demand.spectrum_hz_s, measured.spectrum_hz_s))


def sums(index: NDArray[np.int64], value: Reals, num: int) -> Reals:
    """[num], sums of values [n] by index [n]."""
    return np.asarray(np.bincount(index, value, num), dtype=np.float64)


def check_reserve(demand: Demand, edge_of_model: NDArray[np.int64], edge_cycles_per_s: Reals) -> None:
    """Raises `ConfigError` where an edge cannot hold the deadlines of its classes even without a request.

    Args:
        demand: classes.
        edge_of_model: [num_models], int64.
        edge_cycles_per_s: [num_edges].
    """
    needed = sums(edge_of_model[demand.model], demand.reserve, len(edge_cycles_per_s))
    for edge, (least, there) in enumerate(zip(needed, edge_cycles_per_s, strict=True)):
        if least > there:
            raise ConfigError(
                f"edges.{edge}.cycles_per_s: {there:.3g} cannot hold the deadlines of its requests; give {least:.3g}"
            )
