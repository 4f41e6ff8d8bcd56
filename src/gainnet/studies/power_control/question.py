"""What power-control asks: policies under several fadings, importances and rewards, over the energy budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal, final

from pydantic import Field

from gainnet.studies.study import Case, Value

RULES = ("static", "greedy", "truncated_inversion", "fixed_multiplier", "mean_gain", "replanned")
PROGRAMMED = ("dp_independent", "dp_markov")
LIMIT = "non_causal"
INFORMED = "dp_trace"
"""Dynamic programming that was told the statistics of the very trace; not counted among the opponents."""
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
QUESTION = (
    "How much is causal power control over fading blocks worth, and does a learned policy reach what dynamic "
    "programming reaches where that is exact, and more where it is not?"
)


@final
@dataclass(frozen=True)
class PowerControlConfig:
    """Settings of the study power-control.

    Args:
        random_seeds: each draws its own fading, the same for all methods.
        conditions: equal, unequal, unequal_independent, jakes, varied, decoder.
        snrs_db: mean SNRs, which are energy budgets per block over the noise.
        decoder_snrs_db: those at which pictures are decoded.
        rules: closed-form rules and programs.
        learned: shipped policies, or folders, `ALGORITHM-TASK-TRAINING_SEED`.
        num_episodes: fading episodes per random seed.
        num_pictures: pictures per random seed.
        trace: a .csv file with SNRs, time-scaled: one row is one fading block; no trace when empty.
    """

    random_seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    conditions: tuple[Literal["equal", "unequal", "unequal_independent", "jakes", "varied", "decoder"], ...]
    snrs_db: Annotated[tuple[Annotated[float, Field(ge=-20, le=60)], ...], Field(min_length=1)]
    decoder_snrs_db: tuple[Annotated[float, Field(ge=-20, le=60)], ...]
    rules: tuple[Literal[(*RULES, *PROGRAMMED, LIMIT)], ...]  # type: ignore[valid-type]
    learned: tuple[str, ...]
    num_episodes: Annotated[int, Field(ge=10, le=1_000_000)]
    num_pictures: Annotated[int, Field(ge=1, le=100_000)]
    trace: str = ""


def cases(config: PowerControlConfig) -> Iterator[Case]:
    """Conditions, then what the agents do, then how they learned."""
    for condition in (*config.conditions, *(("traces",) if config.trace else ())):
        snrs_db: tuple[float | None, ...] = config.decoder_snrs_db if condition == "decoder" else config.snrs_db
        for random_seed, snr_db in product(config.random_seeds, (None,) if condition == "traces" else snrs_db):
            for method in (*config.rules, *((INFORMED,) if condition == "traces" else ())):
                yield _case(method, condition, random_seed, snr_db)
            for name in policies_of(config, condition):
                yield _case(*_learned(name, condition, random_seed, snr_db))
    first = config.random_seeds[0]
    shown = [name for name in policies_of(config, "equal") if name.endswith("-0")]
    for gain_db, energy in product(MAP_GAINS_DB, MAP_ENERGIES):
        if "dp_independent" in config.rules:
            yield _case("dp_independent", "map", first, MAP_SNR_DB, None, gain_db, energy)
        for name in shown:
            method, _, _, _, seed = _learned(name, "map", first, MAP_SNR_DB)
            yield _case(method, "map", first, MAP_SNR_DB, seed, gain_db, energy)
    for name, snr_db, point in product(policies_of(config, "equal"), CURVE_SNRS_DB, CURVE_POINTS):
        yield _case(*_learned(name, "curve", first, snr_db), None, None, point)


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


def _learned(
    name: str, condition: str, random_seed: int, snr_db: float | None
) -> tuple[str, str, int, float | None, int]:
    algorithm, _, training_seed = parts(name)
    return algorithm, condition, random_seed, snr_db, training_seed


def _case(
    method: str,
    condition: str,
    random_seed: int,
    snr_db: float | None,
    training_seed: int | None = None,
    gain_db: float | None = None,
    energy_left: float | None = None,
    point: int | None = None,
) -> Case:
    values: dict[str, Value] = {
        "condition": condition,
        "snr_db": snr_db,
        "training_seed": training_seed,
        "gain_db": gain_db,
        "energy_left": energy_left,
        "point": point,
    }
    return Case(method, values, random_seed)
