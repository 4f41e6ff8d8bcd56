"""The steps that a sampler has left, stretched to begin at another noise level: first-order, and without a memory."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gainnet.models.samplers.levels import SMALLEST
from gainnet.models.samplers.sampler import Sampler


class Level(NamedTuple):
    """One step of a course: its time [n], and the power [n] of the signal before and after it."""

    time: Tensor
    now: Tensor
    after: Tensor


def course(sampler: Sampler, start: int, power: Tensor) -> list[Level]:
    """Steps from a noise level to the end, as many as the sampler has left from `start`, spaced as it spaces them.

    Levels that a sampler visits twice, as PNDM and Heun do, are taken once.

    Args:
        sampler: whose spacing is kept.
        start: its step that would be next.
        power: [n] float64, of the signal where the course begins.

    >>> from diffusers import DDIMScheduler
    >>> sampler = Sampler.of(DDIMScheduler(timestep_spacing="trailing"), 4)
    >>> [level.time.tolist() for level in course(sampler, 2, torch.tensor([sampler.power(1)]))]
    [[749], [374]]
    """
    tabulated = not hasattr(sampler.scheduler, "sigmas")
    return _by_times(sampler, start, power) if tabulated else _by_sigmas(sampler, start, power)


def _by_times(sampler: Sampler, start: int, power: Tensor) -> list[Level]:
    """Of samplers with times of the training: the times are stretched."""
    own = torch.unique_consecutive(sampler.timesteps[start:])
    powers: Tensor = sampler.scheduler.alphas_cumprod.double()
    # Times count from 0, so one more is what is stretched.
    stretch = (sampler.levels.nearest(power) + 1).double() / (own[0] + 1).double()
    last = torch.as_tensor(getattr(sampler.scheduler, "final_alpha_cumprod", 1.0)).double()
    found = []
    for time, target in zip(own, _targets(sampler, own), strict=True):
        now = ((time + 1) * stretch).round().long() - 1
        after = ((target + 1) * stretch).round().long() - 1
        left = powers[after] if target >= 0 else last.expand(len(now))
        found.append(Level(now, powers[now.clamp_min(0)], left))
    return found


def _targets(sampler: Sampler, own: Tensor) -> Tensor:
    """[num_steps], times that the steps lead to; below 0 at the end."""
    if sampler.renoises:
        return torch.cat([own[1:], torch.tensor([-1])])
    # The rule of DDIM and its relatives, which is not the next time of the list with every spacing.
    return own - int(sampler.scheduler.config.num_train_timesteps) // sampler.num_asked


def _by_sigmas(sampler: Sampler, start: int, power: Tensor) -> list[Level]:
    """Of samplers with noise levels of their own: the levels are stretched."""
    sigmas = sampler.scheduler.sigmas.double().cpu()
    last = len(sampler.timesteps)
    kept = [i for i in range(start, last) if i == start or sigmas[i] != sigmas[i - 1]]
    stretch = _sigma(sampler, power) / sigmas[start]
    found = []
    for i, j in zip(kept, [*kept[1:], last], strict=True):
        own = sampler.power_of_sigma(sigmas[i : i + 1])
        now, after = (sampler.power_of_sigma(sigmas[k] * stretch) for k in (i, j))
        # Relative to the time that the scheduler gives the level, so that without a stretch it is the same.
        shift = sampler.levels.nearest(now).double() - sampler.levels.nearest(own).double()
        found.append(Level((sampler.timesteps[i].double() + shift).float(), now, after))
    return found


def _sigma(sampler: Sampler, power: Tensor) -> Tensor:
    """[n] float64, the scheduler's own number for powers [n] of the signal, no noisier than it was trained at."""
    signal, noise = power.clamp_min(SMALLEST).sqrt(), (1 - power).clamp_min(0).sqrt()
    if sampler.scale == "flow":
        return noise / (signal + noise)
    largest = max(float(sampler.scheduler.sigmas.max()), float(_largest(sampler)))
    return (noise / signal).clamp(max=largest)


def _largest(sampler: Sampler) -> Tensor:
    """The largest ratio of noise to signal of the training."""
    least = sampler.levels.power(torch.tensor([float(sampler.scheduler.config.num_train_timesteps)]))
    largest: Tensor = ((1 - least) / least.clamp_min(SMALLEST)).sqrt().max()
    return largest
