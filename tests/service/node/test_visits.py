"""What devices asked for is kept for the dashboard: how it ended, what it cost, and who died."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gainnet.generation import estimate
from gainnet.models.diffusion import DiffusionModel
from gainnet.protocols import Eiug
from gainnet.service.node.visits import MOST_VISITS, Visits


def session(report: Any = None, failures: Any = ()) -> Any:
    request = SimpleNamespace(number=7, steps=1)
    return SimpleNamespace(report=report, failures=failures, request=request, begun=[(0.0, "device")], num_late=1)


def test_a_visit_ends_once_and_its_cost_is_summed(scenes: DiffusionModel) -> None:
    report, visits = estimate(Eiug(), scenes), Visits()
    ended: list[str] = []
    visits.ended = lambda visit: ended.append(visit.state)
    first, second = session(report), session(failures=(("edge_2", 3),))
    visits.begin(first, "eiug", 2)
    visits.begin(second, "ciag(cut=1)", 2)
    visits.end(first, "done")
    visits.end(first, "cancelled")
    visits.end(second, "failed")
    found = visits.to_json()
    assert ended == ["done", "failed"]
    assert found["counts"] == {"accepted": 2, "done": 1, "failed": 1, "cancelled": 0, "late_frames": 2}
    assert found["energy"]["modelled_j"] == report.energy_j
    assert found["uses"]["down"] == int(report.num_channel_uses("down"))
    assert [(each["state"], each["protocol"]) for each in found["requests"]] == [
        ("done", "eiug"),
        ("failed", "ciag(cut=1)"),
    ]
    assert [(each["number"], each["step"], each["begun"][0]["label"]) for each in found["requests"]] == [
        (7, 1, "device")
    ] * 2
    assert [(each["node"], each["step"]) for each in found["failures"]] == [("edge_2", 3)]
    assert all(each["begin_s"] <= each["end_s"] <= 0 for each in found["requests"])


def test_only_the_last_visits_are_kept() -> None:
    visits = Visits()
    for _ in range(MOST_VISITS + 5):
        visits.begin(session(), "eiug", 2)
    assert len(visits.to_json()["requests"]) == MOST_VISITS
    assert visits.to_json()["counts"]["accepted"] == MOST_VISITS + 5
