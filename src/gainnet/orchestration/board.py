"""The occupancy board: pieces of a schedule on the cells of a pool, checked and drawn like Tetris."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gainnet.orchestration.resources import Grid
from gainnet.orchestration.rounds import COMPUTING, Activity, Schedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TOLERANCE = 1e-9

COLOURS = {
    Activity.DOWNLOAD: "#0072B2",
    Activity.TRAINING: "#D55E00",
    Activity.UPLOAD: "#56B4E9",
    Activity.WIRELESS_SENSING: "#009E73",
    Activity.VISUAL_SENSING: "#E69F00",
}
"""Okabe and Ito's palette (2008)."""
HATCHES = {
    Activity.DOWNLOAD: "",
    Activity.TRAINING: "xx",
    Activity.UPLOAD: "//",
    Activity.WIRELESS_SENSING: "--",
    Activity.VISUAL_SENSING: "..",
}
"""Hatching of the bars of each activity, which tells them apart in grey."""


def occupancy(schedule: Schedule, grid: Grid, activities: frozenset[Activity]) -> Tensor:
    """[..., num_pieces, num_rows, num_slots], share of each cell that a piece covers; other activities cover nothing.

    Args:
        schedule: pieces of one CR.
        grid: cells of the pool.
        activities: those of one matrix: `COMPUTING` or the rest.
    """
    slot = schedule.duration_s[..., None] / grid.num_slots
    # In units of cells, so that covered shares are differences of clamped edges.
    columns = _covered(schedule.start_s / slot, schedule.end_s / slot, grid.num_slots)
    rows = _covered(schedule.low * grid.num_rows, schedule.high * grid.num_rows, grid.num_rows)
    shown = torch.tensor([piece.activity in activities for piece in schedule.pieces], dtype=columns.dtype)
    return rows[..., :, None] * columns[..., None, :] * shown[:, None, None]


def violations(schedule: Schedule) -> list[str]:
    """Violations of a schedule, one line per kind; a schedule that can be executed has none.

    Checked are the ends of the pools, that no two pieces share any area, and the compulsory serial constraints:
    download before training before upload, and data of a round sensed before that round trains
    (an earlier CR, or an earlier time of the same CR).

    >>> from gainnet.orchestration.rounds import Piece
    >>> pieces = (Piece(Activity.DOWNLOAD, 1), Piece(Activity.TRAINING, 1))
    >>> def starting(second: float) -> Schedule:
    ...     start_s, end_s = torch.tensor([0.0, second]), torch.tensor([2.0, 5.0])
    ...     return Schedule(pieces, start_s, end_s, torch.zeros(2), torch.ones(2), torch.tensor(9.0))
    >>> violations(starting(2.0))
    []
    >>> violations(starting(1.0))
    ['TRAINING begins before DOWNLOAD ends']
    """
    found = []
    # Pieces meet at computed times; a rounding error is no violation.
    slack_s = _TOLERANCE * schedule.duration_s[..., None]
    outside = (schedule.low < -_TOLERANCE) | (schedule.high > 1 + _TOLERANCE)
    outside |= (schedule.start_s < -slack_s) | (schedule.end_s > schedule.duration_s[..., None] + slack_s)
    if bool((outside & ~_empty(schedule)).any()):
        found.append("a piece lies outside its pool")
    for i, one in enumerate(schedule.pieces):
        for j, other in enumerate(schedule.pieces[:i]):
            same_pool = (one.activity in COMPUTING) == (other.activity in COMPUTING)
            if same_pool and bool(_overlap(schedule, i, j).any()):
                found.append(f"{other.activity.name} and {one.activity.name} use a cell twice")
    return found + [line for pair in _ORDER for line in _late(schedule, *pair)]


_ORDER = (
    (Activity.DOWNLOAD, Activity.TRAINING),
    (Activity.TRAINING, Activity.UPLOAD),
    (Activity.WIRELESS_SENSING, Activity.TRAINING),
    (Activity.VISUAL_SENSING, Activity.TRAINING),
)


def _late(schedule: Schedule, first: Activity, then: Activity) -> list[str]:
    """Pieces of one GAI round that are executed before what they wait for."""
    slack_s = _TOLERANCE * schedule.duration_s
    empty = _empty(schedule)
    for i, one in enumerate(schedule.pieces):
        for j, other in enumerate(schedule.pieces):
            if one.activity is not first or other.activity is not then or one.rounds_late < other.rounds_late:
                continue
            too_early = schedule.end_s[..., i] > schedule.start_s[..., j] + slack_s
            # A piece of an earlier CR cannot wait for one of a later CR at all.
            too_early |= torch.tensor(one.rounds_late > other.rounds_late)
            if bool((too_early & ~empty[..., i] & ~empty[..., j]).any()):
                return [f"{then.name} begins before {first.name} ends"]
    return []


def _empty(schedule: Schedule) -> Tensor:
    duration_s = schedule.duration_s[..., None]
    return ((schedule.end_s - schedule.start_s) <= _TOLERANCE * duration_s) | (
        (schedule.high - schedule.low) <= _TOLERANCE
    )


def _overlap(schedule: Schedule, i: int, j: int) -> Tensor:
    """[...], whether two pieces share more than a line."""
    time_s = torch.minimum(schedule.end_s[..., i], schedule.end_s[..., j]) - torch.maximum(
        schedule.start_s[..., i], schedule.start_s[..., j]
    )
    share = torch.minimum(schedule.high[..., i], schedule.high[..., j]) - torch.maximum(
        schedule.low[..., i], schedule.low[..., j]
    )
    return (time_s > _TOLERANCE * schedule.duration_s) & (share > _TOLERANCE)


def _covered(low: Tensor, high: Tensor, num: int) -> Tensor:
    """[..., num], share of each unit interval [k, k + 1] between low and high."""
    edge = torch.arange(num, dtype=low.dtype)
    return (torch.minimum(high[..., None], edge + 1) - torch.maximum(low[..., None], edge)).clamp_min(0.0)


def draw_board(axes: tuple[Axes, Axes], rounds: Sequence[Schedule], grid: Grid) -> None:
    """Time-frequency above, time-computing below: the pieces of one client over several CRs.

    Args:
        axes: for spectrum and for computing.
        rounds: one unbatched schedule per CR, in order; a piece is labelled with the number of its GAI round.
        grid: drawn as thin lines.
    """
    from matplotlib.patches import Rectangle

    begin_s = 0.0
    for number, schedule in enumerate(rounds):
        duration_s, empty = float(schedule.duration_s), _empty(schedule)
        for i, piece in enumerate(schedule.pieces):
            if bool(empty[i]):
                continue
            start, low = begin_s + float(schedule.start_s[i]), float(schedule.low[i])
            width, height = float(schedule.end_s[i] - schedule.start_s[i]), float(schedule.high[i]) - low
            target = axes[piece.activity in COMPUTING]
            target.add_patch(Rectangle((start, low), width, height, **look_of(piece.activity)))
            if width > duration_s / 12 and height > 1 / 12:
                label = str(number - piece.rounds_late + 1)
                behind = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
                target.text(start + width / 2, low + height / 2, label, ha="center", va="center", bbox=behind)
        begin_s += duration_s
        for target in axes:
            target.axvline(begin_s, color="black", linewidth=1.5)
    _frame(axes, begin_s, grid, len(rounds))


def look_of(activity: Activity) -> dict[str, Any]:
    """Colour and hatching of an activity's pieces, as arguments of a matplotlib patch."""
    return {"facecolor": COLOURS[activity], "edgecolor": "white", "hatch": HATCHES[activity]}


def _frame(axes: tuple[Axes, Axes], end_s: float, grid: Grid, num_rounds: int) -> None:
    for target, name in zip(axes, ("share of bandwidth", "share of computing"), strict=True):
        target.set(xlim=(0, end_s), ylim=(0, 1), xlabel="time in s", ylabel=name)
        for k in range(1, grid.num_slots * num_rounds):
            target.axvline(end_s * k / (grid.num_slots * num_rounds), color="#cccccc", linewidth=0.4, zorder=0)
        for k in range(1, grid.num_rows):
            target.axhline(k / grid.num_rows, color="#cccccc", linewidth=0.4, zorder=0)
    axes[0].legend(**legend(), loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8)


def legend() -> dict[str, Any]:
    """Patches in the colours of the activities, and their number, as arguments of matplotlib's `legend`."""
    from matplotlib.patches import Patch

    patches = [Patch(**look_of(activity), label=activity.name.lower().replace("_", " ")) for activity in COLOURS]
    return {"handles": patches, "ncols": len(patches)}
