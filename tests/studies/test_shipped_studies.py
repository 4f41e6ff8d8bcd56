"""The shipped studies on the shipped weights: smoke runs, and the table link against real codewords."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gainnet import radio
from gainnet.core.randomness import Random
from gainnet.network.hardware import Hardware
from gainnet.radio.links.link import AnyLink
from gainnet.studies import find_study, run_study
from gainnet.studies.image_quality import IMAGE_QUALITY
from gainnet.studies.image_quality.air import BudgetedAir
from gainnet.studies.image_quality.material import Material, gather
from gainnet.studies.image_quality.systems import System, methods
from gainnet.studies.presets import load_config
from gainnet.studies.study import Case, Value


@pytest.fixture(scope="module")
def material() -> Material:
    return gather(load_config(IMAGE_QUALITY, "quick"))


@pytest.fixture(scope="module")
def one_picture() -> Material:
    """Enough for what does not depend on the picture."""
    return gather(replace(load_config(IMAGE_QUALITY, "quick"), num_images=1))


def case(method: str, snr_db: float, num_channel_uses: int, fading: str = "awgn") -> Case:
    values: dict[str, Value] = {
        "protocol": "any",
        "fading": fading,
        "snr_db": snr_db,
        "num_channel_uses": num_channel_uses,
    }
    return Case(method, values, 0)


@pytest.mark.slow
def test_quick_image_quality_has_every_metric(tmp_path: Path) -> None:
    result = run_study("image-quality", "quick", tmp_path)
    printed = json.loads(json.dumps(result.to_json()))
    assert set(printed["metrics"]) == set(IMAGE_QUALITY.metric_names)
    assert Path(printed["table"]).is_file()
    assert printed["metrics"]["psnr_db.linear.10db"] > printed["metrics"]["psnr_db.linear.0db"] > 10.0
    assert printed["metrics"]["psnr_db.jpeg.0db"] is None


@pytest.mark.slow
def test_quick_prompt_fidelity_has_every_metric(tmp_path: Path) -> None:
    metrics = run_study("prompt-fidelity", "quick", tmp_path).metrics
    assert set(metrics) == set(find_study("prompt-fidelity").metric_names)
    assert all(0.5 < (metrics[name] or 0.0) <= 1.0 for name in ("background", "layout", "colour", "shape", "size"))
    assert metrics["autoencoder_psnr_db_original"] is None


@pytest.mark.parametrize(
    "method", ["webp", *(pytest.param(n, marks=pytest.mark.slow) for n in ("digital", "gaussian_opta", "linear"))]
)
@pytest.mark.slow
def test_quality_grows_with_snr_and_with_uses(material: Material, method: str) -> None:
    run = methods(material)[method]
    few, more, better = (
        float(str(run(case(method, snr_db, uses), Random.of(0))["psnr_db"]))
        for snr_db, uses in ((5.0, 512), (5.0, 2048), (15.0, 2048))
    )
    assert few < more < better


@pytest.mark.slow
def test_a_system_fills_its_budget_and_no_more(material: Material) -> None:
    for method in ("webp", "digital"):
        row = methods(material)[method](case(method, 10.0, 1024), Random.of(0))
        assert 0.85 * 1024 < float(str(row["num_channel_uses_down"])) <= 1.1 * 1024
    assert methods(material)["linear"](case("linear", 10.0, 1000), Random.of(0))["num_channel_uses_down"] == 1000


@pytest.mark.slow
def test_what_cannot_be_sent_has_no_quality(one_picture: Material) -> None:
    for method in ("raw", "raw_pixels"):
        assert methods(one_picture)[method](case(method, 10.0, 256), Random.of(0))["mse"] is None


def test_a_link_without_noise_gives_back_the_picture(one_picture: Material) -> None:
    row = methods(one_picture)["raw"](case("raw", 90.0, 512), Random.of(0))
    assert float(str(row["psnr_db"])) > 80.0
    assert float(str(row["ssim"])) > 0.9999


@pytest.mark.slow
@pytest.mark.parametrize("method", ["webp", "digital"])
@pytest.mark.parametrize(("fading", "snr_db"), [("awgn", 0.0), ("awgn", 10.0), ("rayleigh", 10.0)])
def test_tables_agree_with_real_codewords(material: Material, method: str, fading: str, snr_db: float) -> None:
    """Same pictures, codecs and fading over bit-level codewords; failures differ, their number does not."""
    from_table = methods(material)[method]
    assert isinstance(from_table, System)
    real = System(material, from_table.protocol, codewords, from_table.codec_for)
    rows = [run(case(method, snr_db, 2048, fading), Random.of(0)) for run in (from_table, real)]
    table_row, real_row = (
        {name: float(str(row[name])) for name in ("psnr_db", "num_channel_uses_down")} for row in rows
    )
    assert rows[0]["num_bits"] == rows[1]["num_bits"]
    assert rows[0]["delivered"] == rows[1]["delivered"] == 1.0
    assert real_row["psnr_db"] == pytest.approx(table_row["psnr_db"], abs=1e-6)
    assert real_row["num_channel_uses_down"] == pytest.approx(table_row["num_channel_uses_down"], rel=0.25)


def codewords(air: BudgetedAir, source: Hardware, target: Hardware) -> AnyLink:
    radios = radio.Radios(source.tx_power_w, target.rx_power_w)
    # Retransmissions of the study, which plans without incremental redundancy: they set the budget of bits.
    return radio.Digital(air.air, radios, radio.Arq(harq=air.harq))
