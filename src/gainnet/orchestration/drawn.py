"""Scenarios drawn at random over scarcity, coupling, mobility and horizon; none is searched for."""

from __future__ import annotations

import numpy as np

from gainnet.core.randomness import Random
from gainnet.orchestration.regime import Contention, Independent
from gainnet.orchestration.scenario import Scenario, load_scenario, scenario_of

NUM_CLIENTS = 24
NUM_TRAINING = 100
"""Scenarios of smaller numbers are for training and for choices; all others are held out."""


def drawn_scenario(number: int) -> Scenario:
    """The scenario of a number: the streets, with other resources, models, sensors, vehicles and rounds.

    Factors are uniform in their logarithm (all ranges assumed): time, bandwidth, compute rate of 0.5 to 2 (scarcity);
    models of 0.3 to 4 times the size each and 0.1 to 1.5 times the training cost, samples of 0.2 to 1.5 times the
    spectrum and up to 16 per target and second, bounded by the steady state or by what another CR could consume
    (coupling); speeds of 1 to 25 m/s (mobility); 2 to 6 rounds (horizon). Every other scenario is named `contention`:
    edges have 0.3 to 1.2 times the spectrum that an equal share of the clients would use.

    Args:
        number: >= 0.

    >>> drawn_scenario(0).name, drawn_scenario(1).name, drawn_scenario(1).clients.num_clients
    ('independent', 'contention', 24)
    """
    (dice,) = Random.of(number).generators("drawn scenario")

    def between(low: float, high: float, size: int | None = None) -> np.ndarray:
        return np.exp(dice.uniform(np.log(low), np.log(high), size))

    fields = load_scenario("street").model_dump()
    time, band, rate = (float(x) for x in between(0.5, 2.0, 3))
    num_rounds, ceiling = int(dice.integers(2, 7)), ("steady", "consumable")[int(dice.integers(2))]
    fields["name"] = (Independent.name, Contention.name)[number % 2]
    fields["rounds"] |= {"num_rounds": num_rounds, "duration_s": 9.0 * time, "ceiling": ceiling}
    low_hz, high_hz = (band * x for x in fields["clients"]["bandwidth_hz"])
    fields["clients"] |= {
        "num_clients": NUM_CLIENTS,
        "bandwidth_hz": (low_hz, high_hz),
        "cycles_per_s": tuple(rate * x for x in fields["clients"]["cycles_per_s"]),
    }
    fields["targets"] |= {"num_targets": int(dice.integers(40, 121))}
    fields["sensing"] |= {
        "wireless_range_m": float(dice.uniform(80.0, 160.0)),
        "visual_range_m": float(dice.uniform(40.0, 80.0)),
        "wireless_samples_per_target_s": float(between(0.5, 16.0)),
        "visual_samples_per_target_s": float(between(0.25, 2.0)),
        "wireless_spectrum_hz_s": float(2.5e5 * between(0.2, 1.5)),
    }
    fields["gain"] |= {
        "correlation": ("kl", "jensen_shannon")[int(dice.integers(2))],
        "scale_samples": float(between(20.0, 1000.0)),
    }
    fastest = float(between(1.0, 25.0))
    fields["mobility"] |= {"least_speed_m_per_s": fastest / 3, "most_speed_m_per_s": fastest}
    crowded = float(dice.uniform(0.3, 1.2)) * NUM_CLIENTS / len(fields["edges"]) * (low_hz + high_hz) / 2
    for edge in fields["edges"]:
        edge["bandwidth_hz"] = crowded if number % 2 else edge["bandwidth_hz"]
    for model, bits, cycles in zip(fields["models"], between(0.3, 4.0, 4), between(0.1, 1.5, 4), strict=True):
        model["num_bits"] *= float(bits)
        model["cycles_per_sample"] *= float(cycles)
    return scenario_of(fields)
