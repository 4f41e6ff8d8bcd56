"""A report adds up, and its JSON has every field that machines read."""

from __future__ import annotations

import json
import math

import pytest

from gainnet.core.report import Report, StepRecord, critical_path_s

STEPS = (
    StepRecord("prompt: device -> edge", 0.0, 0.1, 0.5, num_bits=400, num_channel_uses=200, direction="up"),
    StepRecord("denoiser @ edge", 0.1, 2.0, 300.0, flops=1e12, wall_s=0.3),
    StepRecord("latent: edge -> device", 2.1, 0.25, 1.0, num_channel_uses=256, direction="down"),
    StepRecord("hand-over", 0.2, 0.05, 0.1, num_bits=80, num_channel_uses=40.5, num_retransmissions=1,
               delivered=False, direction="backhaul"),
)  # fmt: skip
REPORT = Report(STEPS, critical_path_s(STEPS), 3.0, "sd15")


def test_sums() -> None:
    assert math.isclose(REPORT.energy_j, 301.6)
    assert REPORT.num_bits == 480
    assert REPORT.num_retransmissions == 1
    assert math.isclose(REPORT.duration_s, 2.35)
    assert not REPORT.delivered


def test_channel_uses_by_direction() -> None:
    assert REPORT.num_channel_uses("up") == 200
    assert REPORT.num_channel_uses("down") == 256
    assert REPORT.num_channel_uses("up", "down") == 456
    assert REPORT.num_channel_uses() == 496.5


def test_steps_that_overlap_do_not_add_up_in_time() -> None:
    side_by_side = (StepRecord("a", 0.0, 1.0, 0.0), StepRecord("b", 0.25, 1.0, 0.0))
    assert critical_path_s(side_by_side) == 1.25
    assert critical_path_s(()) == 0.0


def test_json_holds_the_published_names() -> None:
    flat = json.loads(json.dumps(REPORT.to_json()))
    assert {
        "duration_s", "energy_j", "num_bits", "num_channel_uses_up", "num_channel_uses_down",
        "num_channel_uses_backhaul", "steps",
    } <= set(flat)  # fmt: skip
    assert {
        "label", "start_s", "duration_s", "wall_s", "energy_j", "flops", "num_bits", "num_channel_uses",
        "num_retransmissions", "delivered",
    } <= set(flat["steps"][0])  # fmt: skip
    assert flat["num_channel_uses_down"] == 256
    assert isinstance(flat["num_channel_uses_down"], int)
    assert flat["num_channel_uses_backhaul"] == 40.5
    assert flat["steps"][0]["wall_s"] is None


@pytest.mark.parametrize("report", [Report(), Report(STEPS[:1], 0.1)])
def test_no_step_is_lost_in_json(report: Report) -> None:
    assert len(report.to_json()["steps"]) == len(report.steps)
