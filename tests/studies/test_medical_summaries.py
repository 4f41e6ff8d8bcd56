"""The study of conclusions: how its table is read, that it runs on a folder, and that the paper's order holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from gainnet.cli import app
from gainnet.core.errors import ConfigError
from gainnet.learning.summaries.endpoint import SYSTEM
from gainnet.models.trials.fields import invented_fields
from gainnet.models.trials.prompts import CLOUD_ALONE, FEW_SHOT, FULL, PART
from gainnet.models.trials.writing import write_abstracts
from gainnet.studies.medical_summaries import MEDICAL_SUMMARIES
from gainnet.studies.medical_summaries.material import FIELDS_SEED, folds_of, read_folder
from gainnet.studies.medical_summaries.question import (
    FOLDER_FIELDS,
    LABELS,
    METHODS,
    METRIC_NAMES,
    NOT_PUBMED,
    REAL,
    cases,
)
from gainnet.studies.medical_summaries.summary import interval_of, summarise
from gainnet.studies.presets import load_config
from gainnet.studies.runner import run_study
from gainnet.training.summaries import CLOUD_FIELDS, PRESETS


def row(method: str, seed: int, scores: list[float], tokens: float | None) -> dict[str, Any]:
    told = " ".join(f"{x:.4f}" for x in scores)
    return {
        "method": method, "field": "field_0", "rounds": 8, "random_seed": seed, "num_documents": len(scores),
        "tokens": tokens, "hidden_score": 0.5, "template_right": 0.25, "warning": None,
        **{f"label_right.{label}": 0.5 for label in LABELS},
        **{f"{score}_of_documents": told for score in ("rouge1", "rouge2", "rougel")},
    }  # fmt: skip


def test_the_interval_is_that_of_the_mean() -> None:
    """Many documents: the percentile bootstrap is the normal interval of a mean that is stratified over cases."""
    rng = np.random.default_rng(0)
    scores = {(0, "a"): rng.normal(0.4, 0.1, 300), (1, "a"): rng.normal(0.8, 0.2, 100)}
    low, high = interval_of(scores, 8000)
    mean = np.concatenate(list(scores.values())).mean()
    error = np.sqrt(sum(len(x) * x.var() for x in scores.values())) / 400
    assert (low, high) == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.1 * error)


def test_differences_are_paired_by_document() -> None:
    """Part is better than the cloud by the same amount in every document, however much documents differ."""
    base = [0.1, 0.5, 0.9, 0.3]
    rows = [row("cloud", 0, base, 100.0), row("cloud", 1, base, 120.0)]
    rows += [row("part", 0, [x + 0.05 for x in base], 140.0), row("part", 1, [x + 0.05 for x in base], 160.0)]
    found = summarise(pd.DataFrame([*rows, row("edge_alone", 0, base, None), row("edge_alone", 1, base, None)]))
    assert found["rouge1.part_minus_cloud.low"] == pytest.approx(0.05)
    assert found["rouge1.part_minus_cloud.high"] == pytest.approx(0.05)
    assert found["rouge1.cloud"] == pytest.approx(0.45)
    assert found["rouge1.cloud.low"] is not None
    assert found["rouge1.cloud.low"] < 0.45
    assert found["rouge1.cloud.std_over_seeds"] == 0.0
    assert (found["tokens.cloud"], found["tokens.part"]) == (110.0, 150.0)
    assert "tokens.edge_alone" not in found
    assert "rouge1.full_minus_cloud" not in found
    assert (found["template_right"], found["label_right.effect"]) == (0.25, 0.5)
    assert set(found) <= set(METRIC_NAMES)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"cloud_model": "x"}, r"^cloud_model: .* give cloud_url, too"),
        ({"methods": ["oracle"]}, r"^methods: 'oracle' is unknown"),
        ({"rounds": [8, 4]}, r"^rounds: .* do not ascend"),
        ({"cloud": "x"}, r"^cloud: unknown field"),
    ],
)
def test_mistakes_are_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        load_config(MEDICAL_SUMMARIES, "quick", changes)


def test_metrics_are_those_after_the_last_rounds() -> None:
    """The cloud alone does not depend on rounds and is asked once; earlier rounds stand in the table only."""
    config = load_config(MEDICAL_SUMMARIES, "quick", {"rounds": [2, 4]})
    asked = [(case.method, case.values["rounds"]) for case in cases(config)]
    assert asked == [("part", 2), ("full", 2), ("edge_alone", 2)] + [(method, 4) for method in config.methods]
    rows = [row("cloud", 0, [0.2], 9.0), row("part", 0, [0.5], 9.0), row("part", 0, [0.9], 9.0) | {"rounds": 4}]
    assert summarise(pd.DataFrame(rows))["rouge1.part"] == 0.5


def written_folder(folder: Path) -> None:
    """Thirty abstracts of cardiology and thirty of no field."""
    lines = []
    for index, field in enumerate((*invented_fields(3, 1), *invented_fields(3, 2))):
        words = f"{FOLDER_FIELDS[0]} heart heart" if index < 3 else "elsewhere"
        for abstract in write_abstracts(field, 10, 1):
            sentences = [f"{s.role.upper()}\t{s.text}" for s in abstract.sentences]
            lines += [f"###{index}{abstract.name}", f"BACKGROUND\t{words}.", *sentences, ""]
    folder.mkdir()
    (folder / "train.txt").write_text("\n".join(lines))


def test_every_abstract_is_tested_once_and_never_learned_from(tmp_path: Path) -> None:
    written_folder(tmp_path / "data")
    config = load_config(MEDICAL_SUMMARIES, "quick", {"data": str(tmp_path / "data"), "num_folds": 4})
    folds = folds_of(config, read_folder(config), FOLDER_FIELDS[0], 0)
    tested = [a.name for fold in folds for a in fold.test]
    assert len(tested) == len(set(tested)) >= 30
    assert {len(fold.test) for fold in folds} <= {7, 8}
    for fold in folds:
        assert not {a.name for a in fold.train} & {a.name for a in fold.test}
        assert {a.name for a in (*fold.train, *fold.test)} == set(tested)
    with pytest.raises(ConfigError, match=r"^data: 0 abstracts .* are of endocrinology, too few for 4 folds"):
        folds_of(config, read_folder(config), "endocrinology", 0)


def test_real_abstracts_are_compared_document_by_document() -> None:
    base = [0.1, 0.5, 0.9, 0.3]
    rows = [row("real.objective", 0, base, None), row("real.full", 0, [x + 0.02 for x in base], 9.0)]
    table = pd.DataFrame([{**one, "stated_of_documents": "1 0 0 1"} for one in rows])
    found = summarise(table)
    assert found["full_minus_objective.rouge1.low"] == pytest.approx(0.02)
    assert found["full_minus_objective.rouge1.detectable"] == pytest.approx(0.0, abs=1e-6)
    assert found["full_minus_objective.rouge1.stated"] == pytest.approx(0.02)
    assert (found["num_documents"], found["num_documents.stated"]) == (4, 2)
    assert found["rouge1.real.objective"] == pytest.approx(0.45)
    assert set(found) <= set(METRIC_NAMES)


@pytest.mark.slow
def test_no_field_of_the_study_was_trained_on() -> None:
    """Fields of published random seeds are others than those of the shipped models and than those of another seed."""
    published = load_config(MEDICAL_SUMMARIES, "full", {}).random_seeds
    tested = [f for seed in published for f in invented_fields(4, FIELDS_SEED + seed)]
    trained = [f for seed in (0, CLOUD_FIELDS) for f in invented_fields(PRESETS["default"].num_texts, seed)]
    elsewhere = [f for seed in range(100, 110) for f in invented_fields(4, FIELDS_SEED + seed)]
    assert max(published) < 100
    keys = [(f.drugs, f.conditions, f.outcomes, f.groups, f.habit.primary) for f in (*tested, *trained, *elsewhere)]
    assert len(set(keys)) == len(keys)


def test_the_page_has_the_prompts_verbatim() -> None:
    page = (Path(__file__).parents[2] / "docs" / "medical-summaries.md").read_text()
    assert all(prompt in page for prompt in (CLOUD_ALONE, PART, FULL, FEW_SHOT, SYSTEM))


def test_a_study_without_such_a_field_refuses_the_option(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["study", "run", "gairom", "--data", ".", "--out", str(tmp_path)])
    assert isinstance(found.exception, ConfigError)
    assert str(found.exception).startswith("data: unknown field")


@pytest.mark.slow
def test_the_smoke_run_has_every_metric(tmp_path: Path) -> None:
    result = run_study(MEDICAL_SUMMARIES, "quick", tmp_path)
    assert set(result.metrics) == set(METRIC_NAMES)
    assert result.metrics["rouge1.full"] is not None
    assert result.metrics["bertscore.full"] is None
    assert result.warnings == ()
    assert result.figure_paths


@pytest.mark.slow
def test_a_folder_is_run_and_its_numbers_are_warned_of(tmp_path: Path) -> None:
    """Abstracts in PubMed-RCT format, of a named field and of none, beside the invented ones."""
    written_folder(tmp_path / "data")
    options = ["--quick", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--json"]
    found = CliRunner().invoke(app, ["study", "run", "medical-summaries", *options])
    assert found.exit_code == 0, found.exception
    told = json.loads(found.stdout)
    assert told["warnings"] == [NOT_PUBMED]
    assert f"warning: {NOT_PUBMED}" in found.stderr
    assert set(told["metrics"]) == set(METRIC_NAMES)
    table = pd.read_csv(told["table"])
    assert set(table.loc[table["method"].str.startswith(REAL), "warning"]) == {"not PubMed 20k RCT"}
    assert told["metrics"]["num_documents"] >= 30
    assert told["metrics"]["rouge1.invented.full"] == told["metrics"]["rouge1.full"]
    trained = table[table["method"].isin(["real.cloud", "real.part", "real.full", "real.edge_alone", "cloud"])]
    assert trained["weights_sha256"].str.fullmatch("[0-9a-f]{64}").all()
    assert not trained["is_shorter"].astype(bool).any()
    run = json.loads((Path(told["table"]).parent / "run.json").read_text())
    assert run["warnings"] == [NOT_PUBMED]


def test_the_published_run_is_as_the_page_says() -> None:
    """Part and Full are above the cloud alone; Full is above the edge-end model, beyond doubt while that is young."""
    root = Path(__file__).parents[2]
    page = (root / "docs" / "medical-summaries.md").read_text()
    (path,) = (root / "results" / "medical-summaries").glob("*/run.json")
    run, table = json.loads(path.read_text()), pd.read_csv(path.with_name("table.csv"))
    metrics = run["metrics"]
    young = summarise(table[table["rounds"] < max(table["rounds"])])
    for score in ("rouge1", "rouge2", "rougel"):
        assert metrics[f"{score}.part_minus_cloud.low"] > 0, score
        assert metrics[f"{score}.full_minus_cloud.low"] > 0, score
        assert metrics[f"{score}.full"] > metrics[f"{score}.edge_alone"]
        assert young[f"{score}.full_minus_edge_alone.low"] > 0, score  # type: ignore[operator]
        for arm in METHODS:
            low, high = metrics[f"{score}.{arm}.low"], metrics[f"{score}.{arm}.high"]
            assert f"({low:.3f} to {high:.3f})" in page, (score, arm)
