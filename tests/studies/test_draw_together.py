"""The study of devices that teach a style: its metrics from a table, equal work, a judge that knows what it judges."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.studies import find_study, run_study
from gainnet.studies.draw_together.judge import train_judge
from gainnet.studies.draw_together.question import ARMS, METHODS, METRIC_NAMES, cases
from gainnet.studies.draw_together.summary import draw, summarise
from gainnet.studies.presets import load_config

STUDY = find_study("draw-together")


def table_of(num_captions: int) -> pd.DataFrame:
    """A style that half of the captions get alone and all get together."""
    style = {"plain": 0.0, "styled": 1.0, "none": 0.0, "alone": 0.5, "federated": 1.0, "central": 1.0}
    return pd.DataFrame(
        {
            "method": method, "item": item, "random_seed": seed, "fidelity": 0.75,
            "style": float(item % 2 < 2 * style[method] - 0.1), "loss": 0.5 if method in ARMS else None,
        }
        for method in METHODS
        for item in range(num_captions)
        for seed in (0, 1)
    )  # fmt: skip


def test_a_table_gives_every_metric_and_a_figure() -> None:
    table = table_of(40)
    metrics = summarise(table)
    assert set(metrics) == set(METRIC_NAMES)
    assert metrics["judge_accuracy"] == 1.0
    assert metrics["num_captions"] == 40
    assert metrics["style_agreement.alone"] == 0.5
    assert metrics["federated_minus_alone.style"] == 0.5
    low, high = (metrics[f"federated_minus_alone.style.{end}"] for end in ("low", "high"))
    # 40 captions of standard deviation one half: 1.96 standard errors either way.
    assert low == pytest.approx(0.5 - 0.155, abs=0.03)
    assert high == pytest.approx(0.5 + 0.155, abs=0.03)
    assert metrics["federated_minus_central.fidelity.high"] == 0.0
    assert [name for name, _ in draw(table)] == ["draw_together"]
    some = summarise(table[table["method"].isin(("none", "alone"))])
    assert "judge_accuracy" not in some
    assert "federated_minus_alone.style" not in some


def test_a_case_is_a_caption_of_an_arm() -> None:
    config: Any = load_config(STUDY, "full")
    assert config.num_captions >= 100
    found = list(cases(config))
    assert len(found) == len(config.methods) * config.num_captions * len(config.random_seeds)


@pytest.mark.slow
def test_the_judge_learns_what_tells_two_styles_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    plain, styled = (torch.rand(16, 3, 16, 16, generator=generator) * share for share in (1.0, 0.5))
    judge = train_judge(plain, styled, 30, Random.of(0))
    assert float((judge(styled) > 0.5).float().mean()) > 0.9
    assert float((judge(plain) > 0.5).float().mean()) < 0.1


def test_a_missing_album_is_one_line(tmp_path: Path) -> None:
    from gainnet.models.loading import load_model
    from gainnet.studies.draw_together.material import gather

    config: Any = load_config(STUDY, "quick", {"pictures": str(tmp_path), "album": str(tmp_path / "none")})
    with pytest.raises(ConfigError, match=r"album: .* is not there"):
        gather(config, load_model("scenes"))


@pytest.mark.slow
def test_the_quick_study_has_every_metric_and_equal_work(tmp_path: Path) -> None:
    result = run_study("draw-together", "quick", tmp_path)
    assert set(result.metrics) == set(METRIC_NAMES)
    rows = pd.read_csv(result.table_path)
    trained = rows[rows["method"].isin(("alone", "federated", "central"))]
    assert trained["num_samples"].nunique() == trained["num_steps"].nunique() == 1
    assert trained.groupby("method")["weights_sha256"].first().nunique() == 3
    assert (rows[rows["method"] == "federated"]["num_bits_up"] > 0).all()
