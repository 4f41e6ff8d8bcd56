"""The study frontier: uses over passes from a table, and a smoke run on the shipped model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from gainnet.codecs import CorrectionWeights
from gainnet.codecs.correction.weights import CORRECTIONS
from gainnet.core.errors import ConfigError
from gainnet.studies import run_study
from gainnet.studies.frontier import FRONTIER, identity
from gainnet.studies.frontier.question import (
    ALONE,
    ANNEALED,
    ANNEALED_DENOISED,
    BEST,
    DENOISED,
    DRAFT,
    DRAFT_ANNEALED,
    PERTURBED,
    SCHEMES,
    TRANSFORM,
    cases,
    named_drafts,
)
from gainnet.studies.frontier.summary import metric_names, summarise
from gainnet.studies.presets import load_config


def row(method: str, passes: int, psnr_db: float, uses: float, point: float, **own: object) -> dict[str, object]:
    mse = 10 ** (-psnr_db / 10)
    found = {"method": method, "variant": "", "snr_db": 5.0, "random_seed": 0, "num_images": 4, "psnr_db": psnr_db}
    return {**found, "mse": mse, "point": point, "num_passes": passes, "num_channel_uses_sent": uses, **own}


TABLE = [
    *(row(BEST, 0, 28.0 + 4 * k, 400.0 * 4**k, k) for k in (0, 1)),
    *(row(TRANSFORM, 0, 29.0 + 2 * k, 200.0 * 4**k, k) for k in (0, 1)),
    row(DENOISED, 1, 30.0, 300.0, 0),
    row(DRAFT, 8, 27.0, 0.0, float("nan"), variant="fitted-4", snr_db=float("nan")),
    *(row(DRAFT, 8, psnr, uses, k, variant="fitted-4") for k, (psnr, uses) in enumerate(((30.0, 80.0), (29.0, 90.0)))),
    *(
        row(ALONE, p, psnr, 0.0, p, variant="dpm", snr_db=float("nan"))
        for p, psnr in ((4, 20.0), (10, 26.0), (20, 99.0))
    ),
    row(PERTURBED, 8, 29.5, float("nan"), 1e-3, snr_db=float("nan"), drafts_differ=0.5),
]


def test_metrics_are_the_fewest_uses_of_schemes_with_at_most_so_many_passes() -> None:
    metrics = summarise(pd.DataFrame(TABLE))
    assert set(metrics) == set(metric_names())
    assert metrics["uses_for_30db.best_image_codec.5db"] == pytest.approx(800.0)
    assert metrics["uses_for_30db.0.5db"] == pytest.approx(400.0)
    assert metrics["share_of_best.0.5db"] == pytest.approx(0.5)
    assert [metrics[f"scheme.{p}.5db"] for p in (0, 1, 4, 8, 10, 20)] == [
        SCHEMES.index(name) for name in (TRANSFORM, DENOISED, DENOISED, DRAFT, DRAFT, ALONE)
    ]
    # A point that takes more uses and is worse is not taken.
    assert metrics["uses_for_30db.10.5db"] == 80.0
    assert metrics["uses_for_30db.20.5db"] == 0.0
    assert metrics["uses_for_30db.0.0db"] is None
    assert metrics["device_only_psnr_db.10"] == pytest.approx(26.0)
    assert metrics["draft_alone_psnr_db.8"] == pytest.approx(27.0)
    assert metrics["drafts_reported.1e-03"] == 0.5


@pytest.mark.slow
def test_quick_frontier_runs_every_scheme(tmp_path: Path) -> None:
    metrics = run_study("frontier", "quick", tmp_path).metrics
    assert set(metrics) == set(metric_names())
    assert metrics["num_pictures"] == 2
    assert metrics["device_only_psnr_db.2"] is not None
    # A draft that differs in the sixth digit is corrected as well.
    exact = metrics["psnr_db_when_drafts_differ_by.1e-06"]
    assert exact is not None
    assert exact > metrics["draft_alone_psnr_db.4"]


def test_a_fast_model_adds_its_drafts_and_generates_alone() -> None:
    plain = load_config(FRONTIER, "quick")
    fast = load_config(FRONTIER, "quick", {"drafts": ["fitted-2", "fast-1"]})
    added = [case for case in cases(fast) if case not in list(cases(plain))]
    assert {(case.method, case.values["variant"]) for case in added} == {(DRAFT, "fast-1"), (ALONE, "fast")}
    assert all(case in list(cases(fast)) for case in cases(plain))
    assert set(identity(plain)) == {"model", "transform_seed", "correction"}


def test_searches_come_level_by_level_and_their_drafts_are_named() -> None:
    config = load_config(
        FRONTIER, "quick", {"annealed_drafts": ["fitted-2@6", "fast-1@9"], "annealed_levels": [40, 50]}
    )
    found = [case for case in cases(config) if "annealed" in case.method]
    assert [(case.method, case.values["point"]) for case in found] == [
        (ANNEALED, 40), (ANNEALED_DENOISED, 40), (ANNEALED, 50), (ANNEALED_DENOISED, 50),
        (DRAFT_ANNEALED, 6), (DRAFT_ANNEALED, 9),
    ]  # fmt: skip
    assert named_drafts(config) == ("fitted-2", "fast-1")
    with pytest.raises(ConfigError, match="NAME@LEVEL"):
        load_config(FRONTIER, "quick", {"annealed_drafts": ["fitted-2"]})


@pytest.mark.slow
def test_frontier_runs_with_a_fast_model(installed_student: Path, tmp_path: Path) -> None:
    shipped = CorrectionWeights.load("scenes")
    replace(shipped, drafts=("fast-1", *shipped.drafts[1:])).save(CORRECTIONS.place(shipped.model_sha256), {})
    changes = {"drafts": ["fast-1"], "methods": ["draft", "device_only", "perturbed"], "perturbed_draft": "fast-1"}
    metrics = run_study("frontier", "quick", tmp_path, changes=changes).metrics
    assert metrics["draft_alone_psnr_db.1"] == pytest.approx(metrics["device_only_psnr_db.1"], abs=1e-3)
    assert metrics["num_pictures"] == 2
