"""The pieces of image-quality that need no weights: cases, budgets, summary, figures."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from gainnet.core.randomness import Random
from gainnet.core.types import Bits
from gainnet.network.hardware import profile
from gainnet.radio import AWGN, Air, Rayleigh
from gainnet.studies import STUDIES, show_study
from gainnet.studies.image_quality import IMAGE_QUALITY
from gainnet.studies.image_quality.air import BudgetedAir
from gainnet.studies.image_quality.question import METHODS, PROTOCOL_OF_METHOD
from gainnet.studies.image_quality.summary import cells, metric_names, summarise
from gainnet.studies.presets import load_config
from gainnet.studies.runner import summarise as all_metrics
from gainnet.studies.statistics import uses_for
from gainnet.studies.study import Case

EDGE, DEVICE = profile("edge_a100"), profile("phone")


def table(num_seeds: int = 3) -> pd.DataFrame:
    """A table whose PSNR is 10 dB per factor of ten in uses times SNR, with offsets per method."""
    offset_db = {"linear": 3.0, "webp": 0.0, "webp_shannon": 1.0, "avif_shannon": 2.0, "raw": math.nan}
    rows = []
    swept = product(offset_db, ("awgn", "rayleigh"), (0, 10), (64, 256, 1024), range(num_seeds))
    for method, fading, snr_db, uses, random_seed in swept:
        psnr_db = 10 * math.log10(uses) + snr_db / 2 + offset_db[method] + 0.1 * random_seed
        rows.append(
            {
                "method": method,
                "protocol": PROTOCOL_OF_METHOD[method],
                "fading": fading,
                "snr_db": snr_db,
                "num_channel_uses": uses,
                "random_seed": random_seed,
                "psnr_db": psnr_db,
                "mse": 10 ** (-psnr_db / 10),
                "ssim": 0.9,
                "prompt_fidelity": 0.8,
                "delivered": 1.0,
                "num_images": 4,
                "block_length": 256 if fading == "rayleigh" else None,
            }
        )
    return pd.DataFrame(rows)


def test_metrics_are_psnr_of_the_mean_mse_over_all_pictures() -> None:
    metrics = summarise(table())
    mse = [10 ** (-(10 * math.log10(256) + 3.0 + 0.1 * seed) / 10) for seed in range(3)]
    assert metrics["psnr_db.linear.0db"] == pytest.approx(-10 * math.log10(sum(mse) / 3), abs=1e-3)
    assert metrics["psnr_db_rayleigh.linear.0db"] == metrics["psnr_db.linear.0db"]


def test_a_method_that_cannot_be_sent_is_null() -> None:
    metrics = all_metrics(IMAGE_QUALITY, table())
    assert metrics["psnr_db.raw.0db"] is None
    assert metrics["uses_for_30db.raw.0db"] is None
    assert metrics["psnr_db.avif.0db"] is None


def test_the_better_codec_at_the_shannon_rate_is_drawn() -> None:
    found = cells(table())
    assert set(found["method"]) == {"linear", "webp", "best_codec_shannon"}
    metrics = summarise(table())
    assert metrics["psnr_db.best_codec_shannon.0db"] == pytest.approx(
        (metrics["psnr_db.webp.0db"] or 0) + 2.0, abs=1e-3
    )


def test_uses_are_interpolated_on_their_logarithm() -> None:
    metrics = summarise(table(num_seeds=1))
    assert metrics["uses_for_30db.webp.0db"] == pytest.approx(1000.0, rel=1e-3)
    assert metrics["uses_for_30db.webp.10db"] == pytest.approx(10**2.5, rel=1e-3)
    assert uses_for(30.0, [64, 256], [31.0, 20.0]) == 64.0
    assert uses_for(30.0, [], []) is None


def test_metric_names_are_the_promised_ones_in_every_preset() -> None:
    names = metric_names()
    assert len(set(names)) == len(names)
    promised = [
        f"psnr_db.{m}.{s}db"
        for m in ("jpeg", "webp", "avif", "raw_pixels", "raw", "linear", "digital")
        for s in (-10, -5, 0, 5, 10, 15, 20)
    ]
    promised += [f"uses_for_30db.{m}.{s}db" for m in ("jpeg", "linear") for s in (0, 5, 10)]
    assert set(promised) <= set(names)


@pytest.mark.slow
def test_figures_draw(tmp_path: Path) -> None:
    figures = dict(IMAGE_QUALITY.draw(table()))
    assert set(figures) == {"quality_over_snr", "quality_over_uses", "ssim_and_prompt_fidelity", "crossover"}
    for name, figure in figures.items():
        if name == "crossover":
            figure.savefig(tmp_path / f"{name}.png", dpi=40)
        text = " ".join(t.get_text() for s in (figure, *figure.subfigs) for t in s.texts)
        assert "E|s|² = 1" in text
        assert "same random seed" in text


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_shipped_presets_are_valid(name: str) -> None:
    card = show_study(name)
    assert 0 < card.num_cases["quick"] <= card.num_cases["default"] <= card.num_cases["full"]
    assert set(card.presets) == {"default", "quick", "full"}


def test_every_case_is_unique_and_names_a_method() -> None:
    cases = list(IMAGE_QUALITY.cases(load_config(IMAGE_QUALITY, "full")))
    assert len({case.key for case in cases}) == len(cases)
    assert {case.method for case in cases} == set(METHODS)


def test_budget_without_fading_is_the_links_capacity() -> None:
    air = BudgetedAir(Air(AWGN(), 5.0), 4096)
    link = air.tabulated(EDGE, DEVICE)
    assert air.budget(link)(10**0.5) == link.capacity_bits(4096, 10**0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("snr_db", "num_channel_uses"),
    [(10.0, 1024), *(pytest.param(*x, marks=pytest.mark.slow) for x in ((0.0, 2048), (10.0, 4096)))],
)
def test_fading_budget_takes_its_channel_uses_on_average(snr_db: float, num_channel_uses: int) -> None:
    air = BudgetedAir(Air(Rayleigh(), snr_db), num_channel_uses)
    link = air.tabulated(EDGE, DEVICE)
    random = Random.of(list(range(400)))
    state, budget = link.observe(random), air.budget(link)
    payload = Bits(tuple(bytes(int(budget(float(snr)) // 8)) for snr in state.reported_snr), random.batch)
    _, usage = link.send(payload, state, random)
    assert usage.num_channel_uses / 400 == pytest.approx(num_channel_uses, rel=0.2)


@pytest.mark.slow
def test_mean_budget_grows_with_snr() -> None:
    airs = [BudgetedAir(Air(Rayleigh(), snr_db), 512) for snr_db in (0.0, 10.0)]
    bits = [air.mean_budget_bits(air.tabulated(EDGE, DEVICE)) for air in airs]
    assert bits == sorted(bits)


def test_rate_without_fading_is_shannons() -> None:
    rate = BudgetedAir(Air(AWGN(), 10.0), 128).mutual_information(Random.of([0, 1]))
    assert rate.tolist() == pytest.approx([128 * math.log2(11)] * 2)


def test_ergodic_rate_under_rayleigh_fading() -> None:
    """E log2(1 + snr |h|^2) = e^(1/snr) E1(1/snr) / ln 2 (Alouini and Goldsmith 1999)."""
    from scipy.special import exp1

    rate = BudgetedAir(Air(Rayleigh(block_length=1), 10.0), 20_000).mutual_information(Random.of([0]))
    assert float(rate) / 20_000 == pytest.approx(math.exp(0.1) * exp1(0.1) / math.log(2), rel=0.02)


def test_cases_say_their_air() -> None:
    case = Case("linear", {"protocol": "eiug", "fading": "rayleigh", "snr_db": -5.0, "num_channel_uses": 64}, 0)
    assert BudgetedAir.of(case) == BudgetedAir(Air(Rayleigh(), -5.0), 64)
