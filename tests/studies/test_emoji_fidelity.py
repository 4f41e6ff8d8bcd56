"""The study of the emoji model: what it says before weights and pictures are there, and its metrics where they are."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from gainnet.core.errors import ConfigError, ModelError
from gainnet.models.loading import SHIPPED, find_folder
from gainnet.studies import find_study
from gainnet.studies.emoji_fidelity import METRIC_NAMES, SCORES, cases, draw, gather, summarise
from gainnet.studies.emoji_gallery import gallery_row
from gainnet.studies.presets import load_config

STUDY = find_study("emoji-fidelity")


def test_a_table_gives_every_metric_and_a_figure() -> None:
    rows = [
        {"method": method, "random_seed": seed, **dict.fromkeys(SCORES, 0.5 + seed / 4)}
        | ({"psnr_db_seen": 30.0, "psnr_db_held_out": 29.0} if method == "autoencoder" else {})
        for method in ("seen", "held_out", "autoencoder")
        for seed in (0, 1)
    ]
    rows.append({"method": "distance", "frechet_distance_samples": 4.0, "frechet_distance_pictures": 1.0})
    picture = torch.full((3, 16, 16), 200, dtype=torch.uint8)
    for half, name in (("seen", "octopus"), ("held_out", "judge-dark-skin-tone")):
        row = gallery_row("a caption", picture / 255, name, picture, half == "seen")
        rows.append({"method": "gallery", "half": half, "item": 0, **row})
    table = pd.DataFrame(rows)
    metrics = summarise(table)
    assert set(metrics) == set(METRIC_NAMES)
    assert metrics["top1.held_out"] == 0.625
    assert metrics["autoencoder_psnr_db.held_out"] == 29.0
    drawn = dict(draw(table))
    assert list(drawn) == ["emoji_gallery", "emoji_fidelity"]
    assert [ax.images[0].get_array().shape for ax in drawn["emoji_gallery"].axes] == [(16, 32, 3)] * 2
    quick = summarise(table[table["method"] != "distance"])
    assert set(METRIC_NAMES) - set(quick) == {"frechet_distance.samples", "frechet_distance.pictures"}


def test_the_default_is_what_the_metrics_promise() -> None:
    config: Any = load_config(STUDY, "default")
    assert config.num_captions == 500
    # Fréchet distances compare equal numbers, above those that 64 components need.
    assert config.num_samples >= 1500


def test_cases_are_methods_times_random_seeds() -> None:
    found = list(cases(load_config(STUDY, "quick")))  # type: ignore[arg-type]
    assert [case.method for case in found] == ["seen", "held_out", "autoencoder", *["gallery"] * 6]
    assert [case.text("half") for case in found[3:]] == ["seen"] * 4 + ["held_out"] * 2


def test_what_is_missing_is_one_line(tmp_path: Path) -> None:
    changes = {"album": str(tmp_path / "album.safetensors")}
    with pytest.raises((ConfigError, ModelError)) as error:
        gather(load_config(STUDY, "quick", changes))  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    assert "gainnet train emoji" in str(error.value)
    with pytest.raises(ConfigError, match=r"album: .* is not there"):
        gather(load_config(STUDY, "quick", {**changes, "model": "scenes"}))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_there_or_says_how_to_make_it(name: str) -> None:
    try:
        assert (find_folder(name) / "model_index.json").is_file()
    except ModelError as error:
        assert f"gainnet train {name}" in str(error)  # noqa: PT017  # either outcome is right, by what is shipped
