"""Episodes of a condition, and the policies that play them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from gainnet.catalog.opening import power_of
from gainnet.core.randomness import Random
from gainnet.core.units import db_to_linear
from gainnet.power_control import POWERS, CausalOptimum, Chain, PowerPolicy, Static, non_causal_powers
from gainnet.power_control.env import Episodes
from gainnet.power_control.fading import FADINGS, Fading, TraceGains
from gainnet.power_control.quality import load_importance
from gainnet.radio.fading.trace import SnrTrace
from gainnet.radio.power import PEAK, Outlook
from gainnet.studies.power_control.question import INFORMED, METHODS, RULES

NUM_BLOCKS = 16
FADING_OF = {
    **dict.fromkeys(("equal", "unequal_independent"), "rayleigh"),
    **dict.fromkeys(("unequal", "jakes", "decoder"), "jakes"),
    **dict.fromkeys(("varied", "traces"), "varied"),
}
"""Law of the gains of a condition; for traces the one that everybody prepares for."""
_FITTED_EPISODES, _FITTED_SEED = 8000, 650_000


@final
@dataclass(frozen=True)
class Foreseen:
    """Powers [*batch, num_blocks] that were decided beforehand, by somebody who knew."""

    powers: Tensor

    def __call__(self, outlook: Outlook) -> Tensor:
        return self.powers[..., outlook.gains.shape[-1] - 1]


def importance_of(condition: str) -> tuple[float, ...]:
    """Weights of the blocks, known to every policy."""
    known = load_importance()
    if condition == "decoder":
        return known.picture
    return known.latent if condition.startswith("unequal") else (1.0,) * NUM_BLOCKS


def episodes_of(condition: str, snr_db: float, num: int, random_seed: int, trace: str) -> Episodes:
    """Episodes, the same for all methods."""
    law: Fading = TraceGains(SnrTrace.read(Path(trace))) if condition == "traces" else FADINGS[FADING_OF[condition]]
    gains = law(num, NUM_BLOCKS, Random.of(random_seed).child(condition))
    importance = torch.tensor(importance_of(condition)).expand(num, -1)
    return Episodes(gains, torch.full((num,), db_to_linear(snr_db)), importance)


def rule(method: str, condition: str, snr_db: float, episodes: Episodes, trace: str) -> PowerPolicy:
    """A policy without weights by name."""
    if method in RULES:
        return Static() if method == "static" else POWERS[method]()
    if method == "non_causal":
        return Foreseen(non_causal_powers(episodes.gains, episodes.snr, episodes.importance, PEAK))
    if method not in METHODS:
        return power_of(method)
    fitted_to = {"dp_independent": "", "dp_markov": FADING_OF[condition], INFORMED: f"trace:{trace}"}[method]
    return program(fitted_to, snr_db, importance_of(condition))


@lru_cache(maxsize=64)
def program(fitted_to: str, snr_db: float, importance: tuple[float, ...]) -> CausalOptimum:
    """Dynamic programming for independent Rayleigh fading (""), or for a first-order chain of a law or a trace."""
    return CausalOptimum.solve(_chain(fitted_to), db_to_linear(snr_db), torch.tensor(importance), PEAK)


@lru_cache(maxsize=8)
def _chain(fitted_to: str) -> Chain:
    if fitted_to in ("", "rayleigh"):
        return Chain.rayleigh()
    kind, _, path = fitted_to.partition(":")
    law: Fading = TraceGains(SnrTrace.read(Path(path))) if kind == "trace" else FADINGS[fitted_to]
    # Fitted to episodes of their own: a program must not know those that it is judged by.
    return Chain.fitted(law(_FITTED_EPISODES, NUM_BLOCKS, Random.of(_FITTED_SEED)))
