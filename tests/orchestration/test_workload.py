"""The achievable workload: against a convex solver, against definitions, and what is infeasible."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from convex_workload import ConvexWorkload, Problems, draw_problems, parameters_of
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.orchestration.resources import Pool
from gainnet.orchestration.task import Sensing, Task
from gainnet.orchestration.workload import Reason, achievable_workload, consumption, serial_workload, steady_workload


def scalar(x: float) -> Tensor:
    return torch.tensor(x, dtype=torch.float64)


def solve(problems: Problems) -> tuple[Tensor, Tensor]:
    spent = consumption(problems.pool, problems.task, problems.samples)
    found = achievable_workload(problems.pool, spent, problems.sensing, problems.following)
    return found.samples, found.reason


@pytest.mark.slow
def test_the_convex_solver_finds_the_same() -> None:
    """300 random problems, relative 1e-6; an infeasible problem is 0 in both."""
    problems = draw_problems(300, random_seed=1)
    found, reason = solve(problems)
    program = ConvexWorkload()
    reference = torch.tensor([program.solve_accurately(n) for n in parameters_of(problems)], dtype=torch.float64)
    torch.testing.assert_close(found, reference, rtol=1e-6, atol=0)
    assert set(reason.tolist()) == set(Reason)
    assert 120 < int((reason == Reason.FEASIBLE).sum()) < 210
    assert bool((found[reason != Reason.FEASIBLE] == 0).all())


def test_the_model_that_follows_broadcasts() -> None:
    problems = draw_problems(50, random_seed=2)
    spent = consumption(problems.pool, problems.task, problems.samples)
    many = Task(
        *(torch.stack([getattr(t, f) for t in (problems.following, problems.task)]) for f in Task.__dataclass_fields__)
    )
    found = achievable_workload(problems.pool, spent, problems.sensing, many)
    assert found.samples.shape == (2, 50)
    assert torch.equal(found.samples[0], solve(problems)[0])


def unit_case() -> tuple[Pool, Task, Sensing]:
    """1 Hz, 10 cycles/s, 9 s; the model takes 2 s each way, a sample 2 cycles to train and 1 Hz s to sense."""
    one = scalar(1.0)
    return Pool(one, 10 * one, 9 * one), Task(2 * one, 2 * one, one, one), Sensing(one, 5 * one, 9 * one, one)


def test_no_samples_take_nothing() -> None:
    pool, task, sensing = unit_case()
    spent = consumption(pool, task, scalar(0.0))
    assert float(spent.exchange.area_hz_s) == 0.0
    found = achievable_workload(pool, spent, sensing, task)
    assert (float(found.wireless), float(found.visual)) == (9.0, 9.0)
    unreachable = replace(task, cn0_up_hz=scalar(0.0))
    assert int(consumption(pool, unreachable, scalar(0.0)).reason) == Reason.FEASIBLE


@pytest.mark.parametrize(
    ("samples", "task", "sensing", "following", "reason"),
    [
        (1.0, {"cn0_down_hz": 0.0}, {}, {}, Reason.NO_LINK),
        (1.0, {"num_bits": 4.6}, {}, {}, Reason.EXCHANGE_TOO_LONG),
        (25.1, {}, {}, {}, Reason.TRAINING_TOO_LONG),
        (1.0, {}, {}, {"num_bits": 4.6}, Reason.NEXT_EXCHANGE_TOO_LONG),
        (1.0, {}, {"most_wireless_per_s": 0.0, "most_visual_per_s": 0.0}, {}, Reason.NO_TARGETS),
        (25.0, {}, {}, {}, Reason.FEASIBLE),
    ],
)
def test_zero_says_why(
    samples: float, task: dict[str, float], sensing: dict[str, float], following: dict[str, float], reason: Reason
) -> None:
    pool, any_task, any_sensing = unit_case()

    def changed(fields: dict[str, float]) -> Task:
        return replace(any_task, **{name: scalar(x) for name, x in fields.items()})

    sense = replace(any_sensing, **{name: scalar(x) for name, x in sensing.items()})
    found = achievable_workload(pool, consumption(pool, changed(task), scalar(samples)), sense, changed(following))
    assert int(found.reason) == reason
    assert (float(found.samples) > 0) == (reason == Reason.FEASIBLE)


def test_steady_is_the_largest_that_feeds_itself() -> None:
    problems = draw_problems(500, random_seed=4)
    pool, task, sensing = problems.pool, problems.task, problems.sensing
    steady = steady_workload(pool, sensing, task)
    feasible = steady.reason == Reason.FEASIBLE
    again = achievable_workload(pool, consumption(pool, task, steady.samples), sensing, task)
    assert bool((again.samples >= steady.samples * (1 - 1e-10))[feasible].all())
    more = steady.samples * (1 + 1e-6)
    fed = achievable_workload(pool, consumption(pool, task, more), sensing, task)
    assert bool((fed.samples < more)[feasible].all())
    assert bool((steady.samples[~feasible] == 0).all())
    assert int(feasible.sum()) > 200


def test_overlapping_is_never_worse_than_serial() -> None:
    problems = draw_problems(5000, random_seed=5)
    steady = steady_workload(problems.pool, problems.sensing, problems.task)
    serial = serial_workload(problems.pool, problems.sensing, problems.task)
    assert torch.equal(steady.reason, serial.reason)
    assert bool((steady.samples >= serial.samples * (1 - 1e-9)).all())
    gained = (steady.samples / serial.samples)[steady.reason == Reason.FEASIBLE]
    assert float(gained.mean()) > 1.3


def test_serial_fills_the_round_exactly() -> None:
    """With one kind of sample: rho mu A / (rho + mu); the closed form of both structures."""
    pool, task, sensing = unit_case()
    only_visual = replace(sensing, most_wireless_per_s=scalar(0.0))
    rho, mu, window = 1.0, 5.0, 9.0 - 4.0
    assert float(serial_workload(pool, only_visual, task).samples) == pytest.approx(rho * mu * window / (rho + mu))
    cheap = replace(only_visual, cycles_per_sample=scalar(1e-9))
    assert float(steady_workload(pool, cheap, task).samples) == pytest.approx(min(mu * window, rho * 9.0))


@pytest.mark.parametrize("field", ["num_bits", "cycles_per_sample", "cn0_down_hz"])
def test_absurd_tasks_are_refused(field: str) -> None:
    _, task, _ = unit_case()
    with pytest.raises(ConfigError, match=f"task.{field}"):
        replace(task, **{field: scalar(-1.0)})


def test_absurd_samples_are_refused() -> None:
    pool, task, _ = unit_case()
    with pytest.raises(ConfigError, match="samples"):
        consumption(pool, task, scalar(float("nan")))
