"""The achievable workload as a parametrised convex program: the reference of tests and benchmarks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cvxpy
import torch
from torch import Tensor

from gainnet.orchestration.resources import Pool
from gainnet.orchestration.task import Sensing, Task

TOLERANCES = (1e-10, 1e-9, 1e-8)
PARAMETERS = (
    "bits", "snr_down", "snr_up", "training", "wireless_worth", "visual_worth", "most_wireless", "most_visual", "most",
)  # fmt: skip


@dataclass(frozen=True)
class Problems:
    """Random clients, each with a model to consume and one to sense for."""

    pool: Pool
    task: Task
    samples: Tensor
    sensing: Sensing
    following: Task


def draw_problems(num_problems: int, random_seed: int) -> Problems:
    """About a third are infeasible: no link, too long an exchange, too much training, no targets."""
    source = torch.Generator().manual_seed(random_seed)

    def uniform() -> Tensor:
        return torch.rand(num_problems, generator=source, dtype=torch.float64)

    def decades(low: float, high: float) -> Tensor:
        return 10 ** (low + (high - low) * uniform())

    def some(share: float, x: Tensor) -> Tensor:
        return torch.where(uniform() < share, x, 0.0)

    pool = Pool(decades(6, 7.5), decades(8.5, 9.5), decades(0, 1))

    def task() -> Task:
        band = pool.bandwidth_hz
        return Task(
            decades(6, 7.3), decades(6, 7.5), some(0.98, band * decades(-1, 4)), some(0.98, band * decades(-1, 3))
        )

    consumed, following = task(), task()
    sensing = Sensing(decades(3, 6), decades(6, 8), some(0.8, decades(0, 4)), some(0.8, decades(0, 2)))
    most = consumed.most_samples(pool)
    samples = torch.where(most > 0, most, 1.0) * some(0.9, 1.15 * uniform())
    return Problems(pool, consumed, samples, sensing, following)


def parameters_of(problems: Problems) -> list[dict[str, float] | None]:
    """Numbers of each program, areas per B T, cycles per F T, times per T; `None` where a model cannot be reached."""
    pool, task, sensing = problems.pool, problems.task, problems.sensing
    spectrum, cycles = pool.spectrum_hz_s, pool.cycles
    following = problems.following.least_exchange_s(pool)
    idle = problems.samples == 0
    columns = {
        "bits": torch.where(idle, 0.0, math.log(2) * task.num_bits / spectrum),
        "snr_down": task.cn0_down_hz / pool.bandwidth_hz,
        "snr_up": task.cn0_up_hz / pool.bandwidth_hz,
        "training": problems.samples * task.cycles_per_sample / cycles,
        "wireless_worth": spectrum / sensing.spectrum_hz_s_per_sample,
        "visual_worth": cycles / sensing.cycles_per_sample,
        "most_wireless": sensing.most_wireless_per_s * pool.duration_s * sensing.spectrum_hz_s_per_sample / spectrum,
        "most_visual": sensing.most_visual_per_s * pool.duration_s * sensing.cycles_per_sample / cycles,
        "most": pool.cycles * (1 - following / pool.duration_s) / problems.following.cycles_per_sample,
    }
    unreachable = following >= pool.duration_s
    rows = torch.stack([columns[name] for name in PARAMETERS], -1).tolist()
    return [None if u else dict(zip(PARAMETERS, row, strict=True)) for u, row in zip(unreachable, rows, strict=True)]


def _scale(numbers: dict[str, float]) -> float:
    wireless = numbers["wireless_worth"] * min(1.0, numbers["most_wireless"])
    visual = numbers["visual_worth"] * min(1.0, numbers["most_visual"])
    return min(wireless + visual, numbers["most"])


def is_trivial(numbers: dict[str, float]) -> bool:
    """Whether nothing can be sensed, or training alone takes the round: 0 without a program."""
    return _scale(numbers) == 0.0 or numbers["training"] >= 1.0


class ConvexWorkload:
    """One program for all problems; its value in samples, 0 when infeasible."""

    def __init__(self) -> None:
        self.parameters = {name: cvxpy.Parameter(nonneg=True) for name in PARAMETERS}
        p = self.parameters
        area_down, area_up, time_down, time_up, wireless, visual = (cvxpy.Variable(nonneg=True) for _ in range(6))
        bits_down = -cvxpy.rel_entr(area_down, area_down + p["snr_down"] * time_down)
        bits_up = -cvxpy.rel_entr(area_up, area_up + p["snr_up"] * time_up)
        self.samples = cvxpy.Variable(nonneg=True)
        constraints: list[Any] = [
            bits_down >= p["bits"],
            bits_up >= p["bits"],
            time_down + p["training"] + time_up <= 1,
            area_down <= time_down,
            area_up <= time_up,
            wireless <= 1 - area_down - area_up,
            wireless <= p["most_wireless"],
            visual <= 1 - p["training"],
            visual <= p["most_visual"],
            self.samples <= p["wireless_worth"] * wireless + p["visual_worth"] * visual,
            self.samples <= p["most"],
        ]
        self.program = cvxpy.Problem(cvxpy.Maximize(self.samples), constraints)

    def solve(self, numbers: dict[str, float] | None, **settings: float) -> float:
        """Samples; the objective is scaled to about 1."""
        if numbers is None or is_trivial(numbers):
            return 0.0
        scale = _scale(numbers)
        for name in PARAMETERS:
            per = scale if name in ("wireless_worth", "visual_worth", "most") else 1.0
            self.parameters[name].value = numbers[name] / per
        self.program.solve(solver=cvxpy.CLARABEL, warm_start=False, **settings)
        return 0.0 if "infeasible" in self.program.status else scale * float(self.samples.value)

    def solve_accurately(self, numbers: dict[str, float] | None) -> float:
        """Samples at the smallest tolerance at which the solver says it is done."""
        for tolerance in TOLERANCES:
            try:
                return self.solve(numbers, tol_gap_abs=tolerance, tol_gap_rel=tolerance, tol_feas=tolerance)
            except (cvxpy.error.SolverError, UserWarning):
                continue
        raise AssertionError(f"the solver does not solve {numbers}")
