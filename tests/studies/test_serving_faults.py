"""The study serving-faults: every phase is met, and a quick run loses nothing."""

from __future__ import annotations

from pathlib import Path
from queue import Queue

import pandas as pd
import pytest

from gainnet.service.node.frames import Frame, Kind
from gainnet.studies import run_study
from gainnet.studies.presets import load_config
from gainnet.studies.serving_faults import SERVING_FAULTS
from gainnet.studies.serving_faults.question import KINDS, METRIC_NAMES, PHASES, VICTIMS, cases
from gainnet.studies.serving_faults.summary import summarise
from gainnet.studies.serving_faults.trigger import Trigger

FRAMES: dict[str, tuple[str, Kind, str]] = {
    "before_accept": ("out", "request", ""),
    "queued": ("in", "accepted", ""),
    "denoising": ("in", "progress", "denoiser[0:2] @ edge"),
    "encoding": ("in", "progress", "latent: edge -> device"),
    "sending": ("in", "progress", "latent: edge -> device"),
    "before_acknowledgement": ("in", "report", ""),
}
"""The frame of a device with which each phase begins."""


def test_the_full_run_kills_a_thousand_times_in_every_phase() -> None:
    listed = list(cases(load_config(SERVING_FAULTS, "full")))
    kills = [case for case in listed if case.method in VICTIMS]
    assert len(kills) >= 1000
    assert sum(case.text("start") == "cold" for case in kills) >= 100
    assert all(sum(case.text("phase") == phase for case in kills) >= 50 for phase in PHASES)
    assert len({case.key for case in listed}) == len(listed)


@pytest.mark.parametrize("phase", PHASES)
def test_a_kill_comes_once_and_in_its_phase(phase: str) -> None:
    killed: Queue[str] = Queue()
    trigger = Trigger(phase, "edge", lambda: killed.put(phase))
    for other, (way, kind, label) in FRAMES.items():
        if FRAMES[other] != FRAMES[phase]:
            trigger(way, Frame(kind, {"label": label}))  # type: ignore[arg-type]
    assert not trigger.has_fired
    way, kind, label = FRAMES[phase]
    for _ in range(2):
        trigger(way, Frame(kind, {"label": label}))  # type: ignore[arg-type]
    assert trigger.has_fired
    assert killed.get(timeout=10.0) == phase
    assert killed.empty()


def test_metrics_are_sums() -> None:
    kill = {"kills": 1, "lost": 0, "different": 0, "tracebacks": 0}
    rows = [
        {"method": "engine", "phase": "queued", "start": "warm", "number": k, **kill, "lost": k} for k in range(2)
    ] + [{"method": "frames", "phase": "", "start": "", "number": 0, "malformed_frames": 7, "tracebacks": 1}]
    metrics = summarise(pd.DataFrame(rows))
    assert set(metrics) == set(METRIC_NAMES)
    assert metrics["kills.engine"] == metrics["kills.queued"] == metrics["kills"] == 2
    assert (metrics["lost"], metrics["malformed_frames"], metrics["tracebacks"]) == (1, 7, 1)


@pytest.mark.slow
def test_a_quick_run_loses_nothing(tmp_path: Path) -> None:
    metrics = run_study("serving-faults", "quick", tmp_path).metrics
    assert set(metrics) == set(METRIC_NAMES)
    assert metrics["kills"] == len(VICTIMS) * len(PHASES)
    assert (metrics["lost"], metrics["different"], metrics["tracebacks"]) == (0, 0, 0)
    assert (metrics["strangers"], metrics["strangers.let_in"]) == (2 * len(KINDS), 0)
    assert (metrics["served_beside_strangers"] or 0) >= len(KINDS)
