"""The study of emoji's seeds: what its table says, and what is missing before weights are there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gainnet.core.errors import ConfigError, ModelError
from gainnet.studies.presets import load_config
from gainnet.studies.seed_coding_emoji import METRIC_NAMES, SEED_CODING_EMOJI, cases, draw, open_methods, summarise


def rows(method: str, psnrs_db: tuple[float, ...]) -> list[dict[str, object]]:
    return [
        {"method": method, "random_seed": 0, "snr_db": 5.0, "num_channel_uses": uses, "num_channel_uses_sent": uses,
         "psnr_db": psnr_db, "mse": 10 ** (-psnr_db / 10)}
        for uses, psnr_db in zip((64, 256, 1024), psnrs_db, strict=True)
    ]  # fmt: skip


def test_uses_for_30_db_and_the_share_of_the_best_codec() -> None:
    table = pd.DataFrame(
        [*rows("linear", (22.0, 30.0, 34.0)), *rows("vvc", (10.0, 22.0, 30.0)), *rows("avif", (9, 20, 28))]
    )
    found = summarise(table)
    assert set(found) <= set(METRIC_NAMES)
    assert found["uses_for_30db.linear.5db"] == 256.0
    assert found["uses_for_30db.avif.5db"] is None
    assert found["uses_for_30db.best_image_codec.5db"] == 1024.0
    assert found["share_of_best_image_codec.5db"] == 0.25
    assert found["psnr_db.vvc.l256.5db"] == 22.0
    assert [name for name, _ in draw(table)] == ["psnr_over_uses"]


def test_cases_are_methods_over_the_air() -> None:
    found = list(cases(load_config(SEED_CODING_EMOJI, "quick")))  # type: ignore[arg-type]
    assert [(case.method, case.values["bearer"]) for case in found[::2]] == [
        ("linear", "analog"), ("transform", "ldpc"), ("jpeg_xl", "ldpc"),
    ]  # fmt: skip


def test_a_model_without_names_or_codes_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises((ConfigError, ModelError)) as error:
        open_methods(load_config(SEED_CODING_EMOJI, "quick", {"model": str(tmp_path)}))  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
