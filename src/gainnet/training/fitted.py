"""Fitting the coefficients of few steps to runs of many: regression, step after step, on its own latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.drafts import Foresight
from gainnet.models.fitted import FittedSteps, predictions

RIDGE: Final = 1e-5
"""Share of the mean power of the terms that is added to each, so that nearly equal ones get no huge coefficients."""


@final
@dataclass(frozen=True)
class Runs:
    """Runs of a whole sampler without memory, state after state.

    Args:
        condition: [n, 2, tokens, width].
        states: [num_steps + 1] of [n, *latent], from the noise to the finished latent.
        clean: [num_steps] of [n, *latent], what every step predicted as the end.
        times: [num_steps], of the training.
    """

    condition: Tensor
    states: Sequence[Tensor]
    clean: Sequence[Tensor]
    times: Sequence[int]


@torch.no_grad()
def run_whole(model: DiffusionModel, noise: Tensor, captions: Sequence[str]) -> Runs:
    """Runs of a model from noise [n, *latent].

    Args:
        model: guided, its sampler without memory (DDIM).
        noise: [n, *latent].
        captions: one per item.

    Raises:
        ConfigError: the sampler has a memory, or there is no guidance.
    """
    denoiser, random = model.denoiser, Random.of([0] * len(captions))
    if denoiser.num_branches != 2 or any(denoiser.sampler.num_latents(k) > 1 for k in range(denoiser.num_steps)):
        raise ConfigError("model: fitted drafts imitate a guided run of DDIM; choose another draft for this model")
    given: dict[str, Tensor] = {"prompt": text_to_tensor(list(captions)), "latent": noise}
    given |= model.text_encoder(given, random)
    states, clean = [noise], []
    for step in range(denoiser.num_steps):
        made = Foresight(denoiser[step : step + 1])({**given, "latent": states[-1]}, random)
        states.append(made["latent"])
        clean.append(made["draft"])
    return Runs(given["condition"], states, clean, denoiser.timesteps.tolist())


@torch.no_grad()
def fit_steps(
    model: DiffusionModel, runs: Runs, times: Sequence[int], guided: Sequence[bool]
) -> tuple[FittedSteps, Tensor]:
    r"""Coefficients by least squares, and the drafts [n, *latent] that they make of the runs' noise.

    Step i is fitted on the latents that the steps before it really made, towards the state of the whole run at the next
    time, so that later steps mend what earlier ones left open.

    Args:
        model: of the runs.
        runs: whole runs.
        times: decreasing.
        guided: one per step.
    """
    latent, found, rows = runs.states[0], list[Tensor](), []
    for step, (time, both) in enumerate(zip(times, guided, strict=True)):
        found += predictions(model.denoiser, latent, runs.condition, time, both)
        target = state_at(model, runs, times[step + 1] if step + 1 < len(times) else -1)
        # Sums of many squares need all digits, whatever the network computes in.
        with torch.autocast("cpu", enabled=False):
            row = _least_squares([latent, *found], target)
        latent = sum((w * x for w, x in zip(row[1:], found, strict=True)), row[0] * latent)
        rows.append(row)
    return FittedSteps(tuple(times), tuple(guided), tuple(rows)), latent


def state_at(model: DiffusionModel, runs: Runs, time: int) -> Tensor:
    """[n, *latent], states of whole runs at any time, on the way of the step that passes it; finished below 0."""
    if time < 0:
        return runs.states[-1]
    step = max(k for k, known in enumerate(runs.times) if known >= time)
    levels = model.denoiser.sampler.levels
    (signal, noise), (signal_then, noise_then) = (
        tuple(float(x) for x in levels.amplitudes(levels.power(torch.tensor([t])))) for t in (runs.times[step], time)
    )
    rest = (runs.states[step] - signal * runs.clean[step]) / noise
    return signal_then * runs.clean[step] + noise_then * rest


def _least_squares(terms: Sequence[Tensor], target: Tensor) -> tuple[float, ...]:
    columns, wanted = torch.stack([x.flatten().double() for x in terms], 1), target.flatten().double()
    products = columns.T @ columns
    ridge = RIDGE * products.diag().mean() * torch.eye(len(products), dtype=torch.float64)
    return tuple(float(f"{w:.7g}") for w in torch.linalg.solve(products + ridge, columns.T @ wanted).tolist())


def fit_all(
    model: DiffusionModel, runs: Runs, plans: Mapping[str, tuple[Sequence[int], str]]
) -> dict[str, FittedSteps]:
    """Fitted steps by name.

    Args:
        model: of the runs.
        runs: whole runs.
        plans: times and, as a text of 1 and 0, which of them are guided, by name.
    """
    return {name: fit_steps(model, runs, times, [g == "1" for g in marks])[0] for name, (times, marks) in plans.items()}
