"""Sweep of power-control: policies under several fadings, importances and rewards, over the energy budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, final

from pydantic import Field

from gainnet.catalog.opening import power_of
from gainnet.studies.own import one_or_own
from gainnet.studies.settings import NonEmpty, Seeds, one_of
from gainnet.studies.study import Case, Value

RULES = ("static", "greedy", "truncated_inversion", "fixed_multiplier", "mean_gain", "replanned")
PROGRAMMED = ("dp_independent", "dp_markov")
LIMIT = "non_causal"
INFORMED = "dp_trace"
"""Dynamic programming that knows the statistics of the very trace; not counted among the opponents."""
LEARNED = ("ppo", "sac", "pathwise")
METHODS = (*RULES, *PROGRAMMED, LIMIT, INFORMED, *LEARNED)
TASKS_OF = {
    "equal": ("equal",),
    "unequal": ("unequal",),
    "unequal_independent": ("unequal",),
    "jakes": ("jakes", "varied"),
    "varied": ("varied",),
    "decoder": ("decoder",),
    "traces": ("varied",),
}
"""Tasks that the learned policies of a condition may be trained for; of each algorithm the first that there is."""
MAP_GAINS_DB = (-25.0, -20.0, -16.0, -12.0, -8.0, -4.0, 0.0, 4.0, 8.0)
MAP_ENERGIES = (0.25, 0.5, 1.0, 1.5)
MAP_SNR_DB = 15.0
CURVE_SNRS_DB = (15.0, 20.0)
CURVE_POINTS = range(13)
EnergyDb = Annotated[float, Field(ge=-20, le=60)]
COLUMNS = ("condition", "snr_db", "training_seed", "gain_db", "energy_left", "point")


@final
@dataclass(frozen=True)
class PowerControlConfig:
    """Settings of the study power-control.

    Args:
        random_seeds: each draws its own fading, the same for all methods.
        conditions: equal, unequal, unequal_independent, jakes, varied, decoder.
        snrs_db: mean SNRs, which are energy budgets per block over the noise.
        decoder_snrs_db: those at which pictures are decoded.
        rules: closed-form rules and programs, and policies of yours as `module:Class(args)`.
        learned: shipped policies, or folders, `ALGORITHM-TASK-TRAINING_SEED`.
        num_episodes: fading episodes per random seed.
        num_pictures: pictures per random seed.
        trace: a .csv file with SNRs, time-scaled: one row is one fading block; no trace when empty.
    """

    random_seeds: Seeds
    conditions: tuple[Annotated[str, one_of([name for name in TASKS_OF if name != "traces"])], ...]
    snrs_db: NonEmpty[EnergyDb]
    decoder_snrs_db: tuple[EnergyDb, ...]
    rules: tuple[Annotated[str, one_or_own((*RULES, *PROGRAMMED, LIMIT), power_of)], ...]
    learned: tuple[str, ...]
    num_episodes: Annotated[int, Field(ge=10, le=1_000_000)]
    num_pictures: Annotated[int, Field(ge=1, le=100_000)]
    trace: str = ""


def cases(config: PowerControlConfig) -> Iterator[Case]:
    """Conditions, then what the agents do, then how they learned."""
    for condition in (*config.conditions, *(("traces",) if config.trace else ())):
        snrs_db: tuple[float | None, ...] = config.decoder_snrs_db if condition == "decoder" else config.snrs_db
        # A trace has the SNRs that were measured, and nothing to sweep.
        for random_seed, snr_db in product(config.random_seeds, (None,) if condition == "traces" else snrs_db):
            at: dict[str, Value] = {"condition": condition, "snr_db": snr_db}
            rules = (*config.rules, *((INFORMED,) if condition == "traces" else ()))
            yield from (_case(method, random_seed, at) for method in rules)
            yield from (_learned(name, random_seed, at) for name in policies_of(config, condition))
    first, learned = config.random_seeds[0], policies_of(config, "equal")
    for gain_db, energy in product(MAP_GAINS_DB, MAP_ENERGIES):
        at = {"condition": "map", "snr_db": MAP_SNR_DB, "gain_db": gain_db, "energy_left": energy}
        if "dp_independent" in config.rules:
            yield _case("dp_independent", first, at)
        yield from (_learned(name, first, at) for name in learned if name.endswith("-0"))
    for name, snr_db, point in product(learned, CURVE_SNRS_DB, CURVE_POINTS):
        yield _learned(name, first, {"condition": "curve", "snr_db": snr_db, "point": point})


def _learned(name: str, random_seed: int, values: Mapping[str, Value]) -> Case:
    """A case of a learned policy by its name."""
    algorithm, _, training_seed = parts(name)
    return _case(algorithm, random_seed, {**values, "training_seed": training_seed})


def policies_of(config: PowerControlConfig, condition: str) -> list[str]:
    """Learned policies that play a condition: of each algorithm those of the first task that it was trained for."""
    found: list[str] = []
    for algorithm in LEARNED:
        named = {task: _trained(config, algorithm, task) for task in TASKS_OF[condition]}
        found += next((names for names in named.values() if names), [])
    return found


def _trained(config: PowerControlConfig, algorithm: str, task: str) -> list[str]:
    return [name for name in config.learned if parts(name)[:2] == (algorithm, task)]


def parts(name: str) -> tuple[str, str, int]:
    """Algorithm, task and training seed of a policy's name."""
    algorithm, task, training_seed = name.rsplit("/", 1)[-1].rsplit("-", 2)
    return algorithm, task, int(training_seed)


def _case(method: str, random_seed: int, values: Mapping[str, Value]) -> Case:
    """A case whose columns that it does not give are empty."""
    return Case(method, {**dict.fromkeys(COLUMNS), **values}, random_seed)
