"""The study of the emoji model: what it says before weights and pictures are there, and its metrics where they are."""

from pathlib import Path

import pandas as pd
import pytest

from gainnet.core.errors import ConfigError, ModelError
from gainnet.models.loading import SHIPPED, find_folder
from gainnet.studies import find_study
from gainnet.studies.emoji_fidelity import METRIC_NAMES, SCORES, cases, draw, gather, summarise
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
    table = pd.DataFrame(rows)
    metrics = summarise(table)
    assert set(metrics) == set(METRIC_NAMES)
    assert metrics["top1.held_out"] == 0.625
    assert metrics["autoencoder_psnr_db.held_out"] == 29.0
    assert [name for name, _ in draw(table)] == ["emoji_fidelity"]
    quick = summarise(table[table["method"] != "distance"])
    assert set(METRIC_NAMES) - set(quick) == {"frechet_distance.samples", "frechet_distance.pictures"}


def test_cases_are_methods_times_random_seeds() -> None:
    found = list(cases(load_config(STUDY, "quick")))  # type: ignore[arg-type]
    assert [case.method for case in found] == ["seen", "held_out", "autoencoder"]


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
