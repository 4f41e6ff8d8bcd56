"""Frames leave when their payload has been on the air, in the order in which that ends, and late ones are counted."""

from __future__ import annotations

import math
import threading
import time
from contextlib import closing

import pytest

from cell_desk import ask
from gainnet.catalog import GenerationConfig
from gainnet.models.diffusion import DiffusionModel
from gainnet.service.node.local import edges
from gainnet.service.node.release import LATE_S, Lateness, Releaser


def test_what_is_on_the_air_longer_leaves_later() -> None:
    left, done = [], threading.Event()
    begin_s = time.monotonic()

    def leaving(name: str, due_s: float) -> None:
        left.append((name, time.monotonic() >= due_s >= begin_s))
        if len(left) == 3:
            done.set()

    with closing(Releaser(10.0)) as releaser:
        for name, air_s in (("third", 0.006), ("first", 0.001), ("second", 0.003)):
            releaser.after(air_s, lambda due_s, name=name: leaving(name, due_s))  # type: ignore[misc]
        assert done.wait(10.0)
    assert left == [("first", True), ("second", True), ("third", True)]
    assert time.monotonic() - begin_s >= 0.06


def test_as_fast_as_possible_nothing_is_late() -> None:
    lateness = Lateness()
    with closing(Releaser()) as releaser:
        releaser.after(1e9, lateness.note)
    assert (lateness.released, lateness.late) == (1, 0)


def test_late_is_more_than_five_milliseconds() -> None:
    lateness, now_s = Lateness(), time.monotonic()
    for due_s in (math.inf, now_s + 1.0, now_s - 1.01 * LATE_S):
        lateness.note(due_s)
    assert (lateness.released, lateness.late) == (3, 1)


def test_a_closed_releaser_drops_what_is_on_the_air() -> None:
    left: list[float] = []
    with closing(Releaser(1.0)) as releaser:
        releaser.after(1e9, left.append)
    assert left == []


@pytest.mark.slow
def test_a_request_takes_the_time_of_the_air(scenes: DiffusionModel, keys: object) -> None:
    config = GenerationConfig(("a red star",), snr_db=8.0, num_steps=2, bandwidth_hz=1e3)
    with edges(scenes, keys, pace=1.0) as cell:  # type: ignore[arg-type]
        answer = ask(cell, config)
    on_the_air_s = sum(step.duration_s for step in answer.report.steps if step.direction != "none")
    assert on_the_air_s > 0.5
    assert answer.wall_s >= on_the_air_s
    assert answer.ending["released"] == 2
