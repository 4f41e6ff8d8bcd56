"""The decision: least latency, energy or uses among the configurations that keep all bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, final, get_args

import numpy as np

from gainnet.core.errors import ConfigError, check_range
from gainnet.core.plugins import snake_case
from gainnet.generation.decision.table import Array, Configuration, DecisionTable, load_table
from gainnet.network import Hardware, profile
from gainnet.protocols import Pricing, pricing
from gainnet.radio import Air

Goal = Literal["latency", "energy", "uses"]
POWERS: Final = (1.0, 0.5, 0.25)
"""Shares of the edge's transmit power that are tried."""
SAME: Final = 0.005
"""Share of the goal that is given up for less energy of both nodes, which the radio of the edge may save."""
HOSTILE: Final = "rayleigh"
"""Fading whose rows stand for all that was not measured."""


@final
@dataclass(frozen=True)
class Wanted:
    """Goal and bounds of a request.

    Args:
        minimise: `latency` in s, `energy` of the device in J, or `uses` of the channel.
        latency_s: most time from prompt to picture, kept by 95 % of transmissions.
        energy_j: most energy of the device.
        psnr_db: least PSNR in dB against the channel-free picture, kept by 90 % of pictures.

    Raises:
        ConfigError: the goal is unknown or a bound is no number above 0.
    """

    minimise: Goal = "latency"
    latency_s: float = math.inf
    energy_j: float = math.inf
    psnr_db: float = 0.0

    def __post_init__(self) -> None:
        if self.minimise not in get_args(Goal):
            raise ConfigError(f"decide: {self.minimise!r} is unknown; choose latency, energy or uses")
        check_range(self.latency_s > 0.0, "latency_s", self.latency_s, "above 0 s")
        check_range(self.energy_j > 0.0, "energy_j", self.energy_j, "above 0 J")
        check_range(0.0 <= self.psnr_db < math.inf, "psnr_db", self.psnr_db, "0 dB or more")


@final
@dataclass(frozen=True)
class State:
    """Air, nodes and queue when a request comes.

    Args:
        air: between device and edge.
        device: its hardware.
        edge: hardware of the edge.
        queue_s: time until the edge begins with the request, >= 0.
        priced_as: model whose FLOPs and bytes are priced.
    """

    air: Air = Air()
    device: Hardware = profile("phone")
    edge: Hardware = profile("edge_a100")
    queue_s: float = 0.0
    priced_as: Pricing = pricing("sd15")

    def __post_init__(self) -> None:
        check_range(0.0 <= self.queue_s < math.inf, "queue_s", self.queue_s, "0 s or more")


@final
@dataclass(frozen=True)
class Considered:
    """A configuration at a power of the edge, with its expected cost in one state.

    Args:
        configuration: of the table.
        power: share of the edge's transmit power.
        latency_s: from prompt to picture.
        latency_p95_s: its 95th percentile.
        energy_j: of the device, without waiting, as reports sum it.
        total_energy_j: of device and edge.
        num_channel_uses: up and down.
        psnr_db: of the mean error.
        psnr_p10_db: that 90 % of pictures reach.
        delivered: share of the pictures that arrive.
        reason: why it is out; empty where it keeps all bounds.
    """

    configuration: Configuration
    power: float
    latency_s: float
    latency_p95_s: float
    energy_j: float
    total_energy_j: float
    num_channel_uses: float
    psnr_db: float
    psnr_p10_db: float
    delivered: float
    reason: str = ""

    def cost(self, goal: Goal) -> float:
        """The objective of a goal, which a decision minimises."""
        return {"latency": self.latency_s, "energy": self.energy_j, "uses": self.num_channel_uses}[goal]


@final
@dataclass(frozen=True)
class Decision:
    """How one request is served.

    Args:
        chosen: the configuration and its expected cost.
        keeps: whether it keeps all bounds; otherwise it comes closest to them.
        bits_per_symbol: modulation of a first attempt; `None` for analog symbols, or where nothing is sent.
        code_rate: likewise.
        reasons: in words.
        considered: all configurations, the chosen one first, those that are out last.
    """

    chosen: Considered
    keeps: bool
    bits_per_symbol: int | None
    code_rate: float | None
    reasons: tuple[str, ...]
    considered: tuple[Considered, ...]

    @property
    def settings(self) -> Mapping[str, Any]:
        """Options of `gainnet generate` that serve the request so."""
        configuration = self.chosen.configuration
        # Steps are named even where they are the model's own, since an edge may have another default.
        return {**configuration.settings, "num_steps": configuration.num_steps, "edge_power": self.chosen.power}


def decide(request: Wanted, state: State, table: DecisionTable | None = None) -> Decision:
    r"""The configuration of least cost that keeps the bounds of a request, by tables alone: nothing runs.

    With the edge's work $E$, the device's work before ($B$) and after ($A$) the content arrives, a picture takes
    $\max(t_\mathrm{up} + t_\mathrm{queue} + E + t_\mathrm{down}, B) + A$, the critical path of its plan. Times of
    flight are measured channel uses over the bandwidth, plus waits for feedback. A fading that was not measured is
    taken as Rayleigh.

    Args:
        request: goal and bounds.
        state: of air and nodes.
        table: measured configurations; the shipped table when `None`.

    >>> fast = decide(Wanted("latency", psnr_db=25.0), State(Air(snr_db=10.0)))
    >>> fast.chosen.configuration.settings["protocol"], fast.keeps
    ('centralized', True)
    """
    found = load_table() if table is None else table
    names = found.configurations
    costs = [_costs(state, found, power) for power in POWERS]
    violations = np.stack([_violations(request, state, each) for each in costs])
    goals = np.stack([each[request.minimise] for each in costs])
    kept = violations <= 0.0
    least = float(np.min(goals, initial=math.inf, where=kept))
    if math.isinf(least):
        # Nothing keeps every bound: the one that comes closest, by the sum of relative excesses.
        pick = np.unravel_index(int(np.argmin(violations)), violations.shape)
    else:
        totals = np.stack([each["total_energy_j"] for each in costs])
        near = kept & (goals <= least * (1.0 + SAME))
        pick = np.unravel_index(int(np.argmin(np.where(near, totals, math.inf))), totals.shape)
    # Of every configuration the power is shown at which it does best.
    ranked = np.where(kept, goals, 1e12 * (1.0 + violations))
    best = np.argmin(ranked, axis=0)
    best[pick[1]] = pick[0]
    shown = [_considered(request, state, names[k], costs[best[k]], POWERS[best[k]], k) for k in range(len(names))]
    order = sorted(range(len(names)), key=lambda k: (k != pick[1], float(ranked[best[k], k])))
    chosen, considered = shown[int(pick[1])], tuple(shown[k] for k in order)
    bits, rate = _scheme(found, chosen, state)
    reasons = _reasons(request, chosen, considered)
    return Decision(chosen, not chosen.reason, bits, rate, reasons, considered)


def at_power(request: Wanted, state: State, table: DecisionTable, power: float = 1.0) -> tuple[Considered, ...]:
    """All configurations in the order of the table, at one share of the edge's power.

    Args:
        request: goal and bounds.
        state: of air and nodes.
        table: measured configurations.
        power: share, in (0, 1].
    """
    costs = _costs(state, table, power)
    return tuple(_considered(request, state, each, costs, power, k) for k, each in enumerate(table.configurations))


def _costs(state: State, table: DecisionTable, power: float) -> dict[str, Array]:
    """[num_configurations] each, expected costs at a share of the edge's power."""
    rows = table.arrays[_fading_of(state.air, table)]
    shifted_db = state.air.snr_db + 10 * math.log10(power)
    down = {name: _at(table.snrs_db, values[:-1], shifted_db) for name, values in rows.items()}
    up = {name: float(_at(table.snrs_db, values[-1:], state.air.snr_db)[0]) for name, values in rows.items()}
    work = table.work(state.priced_as)
    has_edge = np.array([each.has_edge for each in table.configurations])
    edge_s = work["edge"] / state.edge.flops_per_s
    before_s, after_s = work["before"] / state.device.flops_per_s, work["after"] / state.device.flops_per_s
    up_s, down_s = up["uses"] / state.air.bandwidth_hz, down["uses"] / state.air.bandwidth_hz
    fixed_s = up_s + up["feedback_s"] + state.queue_s + edge_s
    latency_s = np.maximum(has_edge * (fixed_s + down_s + down["feedback_s"]), before_s) + after_s
    late_s = down["uses_p95"] / state.air.bandwidth_hz + down["feedback_s"]
    p95_s = np.maximum(has_edge * (fixed_s + late_s), before_s) + after_s
    busy_s = before_s + after_s
    radio_j = has_edge * (up_s * state.device.tx_power_w + down_s * state.device.rx_power_w)
    # As the ledger sums it: computing, sending and receiving, without waiting.
    energy_j = busy_s * state.device.active_power_w + radio_j
    edge_j = edge_s * state.edge.active_power_w + up_s * state.edge.rx_power_w
    edge_j = edge_j + down_s * power * state.edge.tx_power_w
    # Below the lowest SNR of the table nothing is known of the air.
    is_known = ~has_edge | (shifted_db >= table.snrs_db[0])
    return {
        "latency": latency_s, "p95": p95_s, "energy": energy_j, "total_energy_j": energy_j + has_edge * edge_j,
        "uses": has_edge * (up["uses"] + down["uses"]), "psnr_db": down["psnr_db"],
        "psnr_p10_db": down["psnr_p10_db"], "delivered": down["delivered"], "is_known": is_known.astype(np.float64),
        "memory_bytes": work["memory_bytes"],
    }  # fmt: skip


def _violations(request: Wanted, state: State, costs: Mapping[str, Array]) -> Array:
    """[num_configurations], sum of relative excesses over the bounds; 0 where all are kept."""
    excess: Array = np.maximum(costs["p95"] / request.latency_s - 1.0, 0.0)
    excess = excess + np.maximum(costs["energy"] / request.energy_j - 1.0, 0.0)
    excess = excess + np.maximum(request.psnr_db - costs["psnr_p10_db"], 0.0) / 10.0
    # No wish is worth a model that does not fit, or an air that nobody measured.
    is_out = (costs["memory_bytes"] > state.device.memory_bytes) | (costs["is_known"] == 0)
    total: Array = excess + 1e6 * is_out
    return total


def _considered(
    request: Wanted, state: State, configuration: Configuration, costs: Mapping[str, Array], power: float, k: int
) -> Considered:
    own = {name: float(values[k]) for name, values in costs.items()}
    return Considered(
        configuration, power, own["latency"], own["p95"], own["energy"], own["total_energy_j"], own["uses"],
        own["psnr_db"], own["psnr_p10_db"], own["delivered"], _reason(request, state, own),
    )  # fmt: skip


def _reason(request: Wanted, state: State, own: Mapping[str, float]) -> str:
    """Why a configuration is out; empty where it is not."""
    if own["memory_bytes"] > state.device.memory_bytes:
        needed, limit = own["memory_bytes"] / 1e9, state.device.memory_bytes / 1e9
        return f"its parts take {needed:.1f} GB and the device has {limit:.1f} GB"
    if not own["is_known"]:
        return f"it was not measured at {state.air.snr_db:g} dB"
    if own["psnr_p10_db"] < request.psnr_db:
        return f"90 % of pictures reach {own['psnr_p10_db']:.1f} dB, not {request.psnr_db:g} dB"
    if own["p95"] > request.latency_s:
        return f"95 % take up to {own['p95']:.3g} s, not {request.latency_s:g} s"
    if own["energy"] > request.energy_j:
        return f"the device spends {own['energy']:.3g} J, not {request.energy_j:g} J"
    return ""


def _reasons(request: Wanted, chosen: Considered, considered: Sequence[Considered]) -> tuple[str, ...]:
    kept = [each for each in considered if not each.reason]
    unit = {"latency": "s", "energy": "J on the device", "uses": "channel uses"}[request.minimise]
    name = chosen.configuration.name
    counted = f"{len(kept)} of {len(considered)} configurations {'keeps' if len(kept) == 1 else 'keep'} the bounds"
    if not kept:
        return counted, f"{name} comes closest, but {chosen.reason}"
    least = f"of these {name} takes least {request.minimise}: {chosen.cost(request.minimise):.3g} {unit}"
    protocol = chosen.configuration.settings["protocol"]
    others = [each for each in kept if each.configuration.settings["protocol"] != protocol]
    second = min(others, key=lambda each: each.cost(request.minimise), default=None)
    if second is None:
        return counted, least
    cost = second.cost(request.minimise)
    return counted, least, f"the next best protocol is {second.configuration.name}: {cost:.3g} {unit}"


def _scheme(table: DecisionTable, chosen: Considered, state: State) -> tuple[int | None, float | None]:
    if not chosen.configuration.scheme:
        return None, None
    snr_db = state.air.snr_db + 10 * math.log10(chosen.power)
    # The scheme of the next lower SNR that was measured, which is never too daring.
    k = max(0, min(int(np.searchsorted(table.snrs_db, snr_db, "right")) - 1, len(table.snrs_db) - 1))
    return chosen.configuration.scheme[k]


def _fading_of(air: Air, table: DecisionTable) -> str:
    name = snake_case(type(air.fading).__name__)
    return name if name in table.fadings else HOSTILE


def _at(snrs_db: Sequence[float], rows: Array, snr_db: float) -> Array:
    """[num_rows], values between the SNRs of a table, linear in dB; rows [num_rows, num_snrs]."""
    place = min(max(snr_db, snrs_db[0]), snrs_db[-1])
    right = min(max(int(np.searchsorted(snrs_db, place)), 1), len(snrs_db) - 1)
    weight = (place - snrs_db[right - 1]) / (snrs_db[right] - snrs_db[right - 1])
    between: Array = rows[:, right - 1] * (1.0 - weight) + rows[:, right] * weight
    return between
