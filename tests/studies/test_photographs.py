"""The study of photographs: its cases, what its table says, and a run on pictures that are drawn at test time."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from gainnet.cli import app
from gainnet.core.errors import ConfigError
from gainnet.studies import find_study, run_study
from gainnet.studies.photographs import PHOTOGRAPHS, draw
from gainnet.studies.photographs.material import encoders, identity
from gainnet.studies.photographs.question import HALVES, METHODS, PhotographsConfig, cases
from gainnet.studies.photographs.summary import metric_names, recommended_by, summarise
from gainnet.studies.presets import load_config

PSNRS_DB = {"linear": 21.0, "vvc": 23.0, "autoencoder": 28.0}
DISTANCES = {"linear": 0.2, "vvc": 0.3, "autoencoder": 0.01}


def row(method: str, half: str, photographs: tuple[int, ...]) -> dict[str, object]:
    air = {} if method == "autoencoder" else {"uses_per_value": "1/96", "snr_db": 5.0, "num_channel_uses": 2048}
    shift = [0.01 * k for k in photographs]
    psnrs = [PSNRS_DB[method] + k for k in photographs]
    return {
        "method": method, "half": half, "random_seed": 0, **air, "num_crops": len(photographs),
        "mse": 10 ** (-PSNRS_DB[method] / 10), "ssim": 0.7, "feature_distance": DISTANCES[method],
        "photograph_of_crops": " ".join(map(str, photographs)),
        "psnr_db_of_crops": " ".join(f"{x:.3f}" for x in psnrs),
        "ssim_of_crops": " ".join("0.7" for _ in photographs),
        "feature_distance_of_crops": " ".join(f"{DISTANCES[method] + x:.5f}" for x in shift),
    }  # fmt: skip


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    halves = {"even": (0, 0, 2, 2), "odd": (1, 1)}
    return pd.DataFrame([row(method, half, own) for method in PSNRS_DB for half, own in halves.items()])


def test_metrics_are_over_all_crops_and_intervals_over_photographs(table: pd.DataFrame) -> None:
    found = summarise(table)
    assert set(found) <= set(metric_names())
    assert (found["num_crops"], found["num_photographs"]) == (6.0, 3.0)
    errors = [10 ** (-(21.0 + k) / 10) for k in (0, 0, 1, 1, 2, 2)]
    assert found["psnr_db.linear.1_96.5db"] == pytest.approx(-10 * math.log10(sum(errors) / 6), abs=1e-3)
    assert found["psnr_db_p50.linear.1_96.5db"] == 22.0
    assert found["feature_distance.vvc.1_96.5db"] == pytest.approx(0.31)
    assert found["psnr_db_over_vvc.linear.1_96.5db"] == -2.0
    assert found["feature_distance_over_vvc.linear.1_96.5db"] == pytest.approx(-0.1)
    # The same difference on every photograph leaves no doubt.
    assert found["feature_distance_over_vvc_half_width.linear.1_96.5db"] == pytest.approx(0.0, abs=1e-9)
    assert found["seed_is_better.1_96.5db"] == 1.0
    assert found["psnr_db_p50.autoencoder"] == 29.0
    assert [name for name, _ in draw(table)] == ["photographs"]


def test_the_nearer_method_is_recommended(table: pd.DataFrame, tmp_path: Path) -> None:
    table.to_csv(tmp_path / "table.csv", index=False)
    found = recommended_by(tmp_path, 4.0, 1 / 100)
    assert found == {
        "method": "linear", "snr_db": 5.0, "uses_per_value": "1/96", "feature_distance": {"linear": 0.2, "vvc": 0.3},
    }  # fmt: skip
    worse = table.assign(feature_distance=table["feature_distance"].where(table["method"] != "linear", 0.5))
    worse.to_csv(tmp_path / "table.csv", index=False)
    said = CliRunner().invoke(app, ["advise", "--photographs", str(tmp_path), "--snr-db", "6"])
    assert said.exit_code == 0
    assert "use vvc" in said.output
    with pytest.raises(ConfigError, match="no table of the study"):
        recommended_by(tmp_path / "none", 4.0, 1 / 100)


def test_every_method_meets_every_air_in_both_halves() -> None:
    config = load_config(PHOTOGRAPHS, "full")
    found = list(cases(config))
    assert len(found) == len(HALVES) * (1 + 8 * 9)
    assert {case.method for case in found} == set(METHODS)
    assert {case.values["num_channel_uses"] for case in found if "snr_db" in case.values} == {1024, 2048, 4096}
    assert all(len(of_codec) == 1 for of_codec in encoders().values())


def test_what_is_missing_is_one_line(tmp_path: Path) -> None:
    def changed(**changes: object) -> PhotographsConfig:
        config = load_config(PHOTOGRAPHS, "quick", {"work": str(tmp_path / "work"), **changes})
        assert isinstance(config, PhotographsConfig)
        return config

    with pytest.raises(ConfigError, match="give one of photographs with --pictures FOLDER"):
        identity(changed(pictures=str(tmp_path / "none")))
    with pytest.raises(ConfigError, match="TAEF2"):
        identity(changed(model=str(tmp_path / "none")))
    single = tmp_path / "single"
    single.mkdir()
    Image.fromarray(np.zeros((70, 70, 3), np.uint8)).save(single / "one.png")
    with pytest.raises(ConfigError, match="holds 1 picture"):
        identity(changed(pictures=str(single)))


@pytest.mark.slow
def test_quick_runs_on_pictures_of_ones_own_and_has_every_metric(tmp_path: Path) -> None:
    folder, rng = tmp_path / "pictures", np.random.default_rng(0)
    folder.mkdir()
    for k in range(14):
        small = rng.integers(0, 255, (7, 9, 3), dtype=np.uint8)
        Image.fromarray(small).resize((160, 150), Image.Resampling.BICUBIC).save(folder / f"{k}.png")
    changes = {"pictures": str(folder), "work": str(tmp_path / "work"), "crops_per_photograph": 1}
    result = run_study(find_study("photographs"), "quick", tmp_path / "out", changes=changes)
    assert set(result.metrics) == set(metric_names())
    assert result.metrics["num_photographs"] == 14.0
    assert (result.metrics["psnr_db.linear.1_96.5db"] or 0.0) > 10.0
    assert (result.metrics["psnr_db.autoencoder"] or 0.0) > (result.metrics["psnr_db.transform.1_96.5db"] or 99.0)
    assert len(result.figure_paths) > 0
