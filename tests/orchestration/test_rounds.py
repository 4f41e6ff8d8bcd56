"""Both structures on the board: everything fits, nothing twice, nothing too early, and a wrong board is noticed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from convex_workload import draw_problems
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.orchestration.board import draw_board, occupancy, violations
from gainnet.orchestration.resources import Grid
from gainnet.orchestration.rounds import COMPUTING, Activity, Schedule, serial_schedule, zeros_schedule
from gainnet.orchestration.workload import achievable_workload, consumption, serial_workload

PROBLEMS = draw_problems(400, random_seed=7)
SPECTRUM = frozenset(Activity) - COMPUTING
GRID = Grid(num_slots=7, num_rows=5)


def zeros() -> tuple[Schedule, Tensor, Tensor]:
    """Schedule, and the samples that are sensed and trained."""
    spent = consumption(PROBLEMS.pool, PROBLEMS.task, PROBLEMS.samples)
    workload = achievable_workload(PROBLEMS.pool, spent, PROBLEMS.sensing, PROBLEMS.following)
    trained = torch.where(spent.exchange.feasible, PROBLEMS.samples, 0.0)
    return zeros_schedule(PROBLEMS.pool, spent, workload, PROBLEMS.sensing), workload.samples, trained


def serial() -> tuple[Schedule, Tensor, Tensor]:
    workload = serial_workload(PROBLEMS.pool, PROBLEMS.sensing, PROBLEMS.task)
    schedule = serial_schedule(PROBLEMS.pool, workload, PROBLEMS.sensing, PROBLEMS.task)
    return schedule, workload.samples, workload.samples


@pytest.mark.parametrize("structure", [zeros, serial])
def test_every_schedule_can_be_executed(structure: type) -> None:
    schedule, _, _ = structure()
    assert violations(schedule) == []


@pytest.mark.parametrize("structure", [zeros, serial])
def test_the_board_holds_exactly_the_workload(structure: type) -> None:
    """Area of the pieces is what the samples cost, and what models need to be sent."""
    schedule, sensed, trained = structure()
    pool, sensing = PROBLEMS.pool, PROBLEMS.sensing
    wireless = schedule.amount(Activity.WIRELESS_SENSING) * pool.bandwidth_hz / sensing.spectrum_hz_s_per_sample
    visual = schedule.amount(Activity.VISUAL_SENSING) * pool.cycles_per_s / sensing.cycles_per_sample
    torch.testing.assert_close(wireless + visual, sensed, rtol=1e-8, atol=1e-9)
    training = schedule.amount(Activity.TRAINING) * pool.cycles_per_s / PROBLEMS.task.cycles_per_sample
    torch.testing.assert_close(training, trained, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("structure", [zeros, serial])
@pytest.mark.parametrize("activities", [SPECTRUM, COMPUTING])
def test_no_cell_is_used_twice(structure: type, activities: frozenset[Activity]) -> None:
    schedule, _, _ = structure()
    cells = occupancy(schedule, GRID, activities)
    assert cells.shape == (400, len(schedule.pieces), GRID.num_rows, GRID.num_slots)
    assert float(cells.sum(-3).max()) <= 1 + 1e-9
    area = cells.sum((-3, -2, -1)) / (GRID.num_slots * GRID.num_rows) * schedule.duration_s
    torch.testing.assert_close(
        area, sum((schedule.amount(a) for a in activities), torch.zeros(())), rtol=1e-8, atol=1e-9
    )


def test_the_matrices_hold_the_pool() -> None:
    pool = PROBLEMS.pool
    torch.testing.assert_close(GRID.time_frequency(pool).sum((-2, -1)), pool.spectrum_hz_s)
    torch.testing.assert_close(GRID.time_computing(pool).sum((-2, -1)), pool.cycles)
    with pytest.raises(ConfigError, match="grid"):
        Grid(0, 3)


@pytest.mark.parametrize(
    ("activity", "line"),
    [
        (Activity.TRAINING, "TRAINING begins before DOWNLOAD ends"),
        (Activity.UPLOAD, "UPLOAD begins before TRAINING ends|TRAINING begins before UPLOAD"),
    ],
)
def test_a_piece_moved_to_the_start_is_noticed(activity: Activity, line: str) -> None:
    schedule, _, _ = zeros()
    columns = torch.tensor([piece.activity is activity for piece in schedule.pieces])
    moved = replace(
        schedule,
        start_s=torch.where(columns, 0.0, schedule.start_s),
        end_s=torch.where(columns, schedule.end_s - schedule.start_s, schedule.end_s),
    )
    assert any(part in violations(moved) for part in line.split("|"))


def test_a_larger_piece_is_noticed() -> None:
    schedule, _, _ = zeros()
    found = violations(replace(schedule, high=schedule.high * 1.01))
    assert "a piece lies outside its pool" in found
    assert "DOWNLOAD and WIRELESS_SENSING use a cell twice" in found


def test_sensing_in_the_round_that_trains_is_noticed() -> None:
    """Overlapping within one GAI round is what the serial constraints forbid."""
    schedule, _, _ = zeros()
    wrong = replace(schedule, pieces=tuple(replace(piece, rounds_late=0) for piece in schedule.pieces))
    assert "TRAINING begins before WIRELESS_SENSING ends" in violations(wrong)


@pytest.mark.slow
def test_a_board_is_drawn() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    schedule, _, _ = zeros()
    index = int((schedule.amount(Activity.TRAINING) > 0).nonzero()[0])
    fields = {name: getattr(schedule, name)[index] for name in ("start_s", "end_s", "low", "high", "duration_s")}
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 1)
    draw_board((axes[0], axes[1]), [replace(schedule, **fields)] * 3, GRID)
    figure.canvas.draw()
    assert len(axes[0].patches) + len(axes[1].patches) >= 9
