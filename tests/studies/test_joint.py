"""The study joint: a quick run, and how its table is read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gainnet.core.randomness import Random
from gainnet.studies import run_study
from gainnet.studies.joint import BOUND, JOINT, METHODS, JointConfig, drawn_scenario, open_methods, summarise, volumes
from gainnet.studies.study import Case


def table() -> pd.DataFrame:
    points = {BOUND: [(0.0, 4.0), (0.8, 2.0)], "online": [(0.2, 4.0), (0.8, 1.0)], "priority": [(0.0, 3.0), (0.8, 1.0)]}
    rows = [
        {"method": method, "share": share, "random_seed": 1, "served": served, "gain": gain}
        for method, own in points.items()
        for share, (served, gain) in zip((0.0, 0.8), own, strict=True)
    ]
    return pd.DataFrame(rows)


def test_areas_are_over_that_of_the_bound() -> None:
    of_bound = volumes(table()).set_index("method")["of_bound"]
    # The bound reaches half of its gain over all it serves; online adds a strip of a quarter that wide, at the top.
    assert of_bound["online"] == pytest.approx((0.25 + 0.25 * 0.75) / 0.5)
    assert of_bound["priority"] == pytest.approx(0.25 / 0.5)
    found = summarise(table())
    assert found["gain_kept.online"] == pytest.approx(0.25)
    assert found["served_share.online"] == pytest.approx(0.8)
    assert found["num_scenarios"] == 1


def test_drawn_scenarios_differ_and_repeat() -> None:
    one, same, other = (drawn_scenario(seed, 2) for seed in (3, 3, 4))
    assert one == same
    assert one.requests != other.requests


@pytest.mark.slow
def test_requests_may_take_a_whole_pool() -> None:
    play = open_methods(JointConfig((710073,), (1.0,), 3))["online"]
    assert float(str(play(Case("online", {"share": 1.0}, 710073), Random.of(710073))["served"])) > 0.5


@pytest.mark.slow
def test_a_quick_run_has_every_metric(tmp_path: Path) -> None:
    result = run_study("joint", "quick", tmp_path)
    assert set(result.metrics) == set(JOINT.metric_names)
    assert all(result.metrics[f"pareto_hypervolume.{name}"] for name in METHODS if name != BOUND)
    # Two points alone, of which the first serves what happens to be free.
    assert 0.5 <= (result.metrics["pareto_hypervolume.online"] or 0.0) <= 1.05
