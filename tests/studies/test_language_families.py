"""The study language-families: cut models equal uncut ones, and a difference would be seen."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gainnet.catalog.learning import cut_of
from gainnet.core.randomness import Random
from gainnet.studies.language_families import study
from gainnet.studies.language_families.models import ARCHITECTURES, build_model
from gainnet.studies.language_families.pair import compare
from gainnet.studies.runner import run_study

QUICK = {("opt", "embedding_only+1"), ("bert", "u_shape")}


@pytest.mark.parametrize(
    ("architecture", "cut"),
    [
        pytest.param(name, cut, marks=() if (name, cut) in QUICK else pytest.mark.slow)
        for name in ARCHITECTURES
        for cut in study.CUTS
    ],
)
def test_a_cut_model_is_the_uncut_one(architecture: str, cut: str) -> None:
    for kind in ("plain", "odd"):
        found = compare(build_model(architecture, kind, 1), cut_of(cut), Random.of(1))
        assert max(found.logits, found.gradients) <= study.TOLERANCE
        assert found.loss <= 1e-5
        # Other masks give other logits, so that equal ones say something.
        assert found.other_masks > 1e-2 or architecture == "mamba"
        assert min(found.largest_logit, found.largest_gradient) > 1e-2


def test_the_largest_difference_is_the_metric() -> None:
    rows = [("gpt2", 1e-8, 0.0), ("gpt2", 0.0, 3e-7), ("bart", 0.0, 0.0)]
    table = pd.DataFrame(rows, columns=["method", "logits", "gradients"])
    assert study.summarise(table) == {"equal.bart": 0.0, "equal.gpt2": 3e-7, "num_compared": 3}


@pytest.mark.slow
def test_the_smoke_run_has_every_metric(tmp_path: Path) -> None:
    result = run_study("language-families", "quick", tmp_path)
    assert set(result.metrics) == set(study.METRIC_NAMES)
    assert all((result.metrics[f"equal.{name}"] or 0.0) <= study.TOLERANCE for name in ARCHITECTURES)
    assert {path.stem for path in result.path.rglob("*.png")} == {"language_families"}
