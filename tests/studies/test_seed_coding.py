"""The study seed-coding: its ways over the air in closed form, its judges, its metrics, figures and a smoke run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from gainnet.codecs import LinearCode, SeedBasis
from gainnet.codecs.linear import linear_mse
from gainnet.codecs.opta import gaussian_opta
from gainnet.codecs.rate_matched import RateMatched
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Payload, Size, Spec
from gainnet.generation.quality import ssim
from gainnet.studies import run_study
from gainnet.studies.image_quality.air import BudgetedAir
from gainnet.studies.presets import load_config
from gainnet.studies.runner import summarise as all_metrics
from gainnet.studies.seed_coding import SEED_CODING
from gainnet.studies.seed_coding.judging import fast_ssim, frechet_distance, latent_nmse, quality
from gainnet.studies.seed_coding.question import METHODS, SeedCodingConfig, cases
from gainnet.studies.seed_coding.summary import cells, fewest_uses, summarise
from gainnet.studies.seed_coding.transports import Analog, Digital, GaussianOptimum
from gainnet.studies.seed_coding.unseen_list import unseen_captions
from gainnet.studies.seed_coding.wide import join_patches, published_distance, split_patches
from gainnet.studies.study import Case, Value

NUM_ITEMS, NUM_VALUES, USES = 3000, 8, 2
PROMPTS = ("a star",) * NUM_ITEMS
RATE_USES = (64, 91, 128)


@cache
def basis() -> SeedBasis:
    variances = 2.0 ** -torch.arange(NUM_VALUES)
    turned = torch.linalg.qr(Random.of(3).normal((NUM_VALUES, NUM_VALUES), "basis"))[0]
    return SeedBasis.of_moments(torch.ones(NUM_VALUES), turned * variances @ turned.T, "")


@cache
def latents() -> Tensor:
    drawn = Random.of(list(range(NUM_ITEMS))).normal((NUM_VALUES,), "latents")
    return basis().synthesise(drawn * basis().variances.sqrt(), Spec((NUM_VALUES,)))


def case(snr_db: float = 5.0, uses: int = USES, **values: Value) -> Case:
    air: dict[str, Value] = {"content": "scene", "bearer": "analog", "fading": "awgn"}
    told: dict[str, Value] = {"report_offset_db": 0.0, "report_error_db": 0.0}
    return Case("linear", {**air, **told, "snr_db": snr_db, "num_channel_uses": uses, **values}, 0)


def mean_error(received: Tensor) -> float:
    return float((received - latents()).double().square().sum(-1).mean())


def test_a_linear_seed_has_the_error_of_the_closed_form_and_a_wrong_report_only_adds_to_it() -> None:
    way, random = Analog(lambda uses, prompts: LinearCode(uses, basis())), Random.of(list(range(NUM_ITEMS)))
    errors = {
        offset_db: mean_error(way(case(report_offset_db=offset_db), latents(), PROMPTS, random).values)
        for offset_db in (0.0, 5.0, -5.0)
    }
    exact = float(linear_mse(basis().variances, USES, torch.tensor(10**0.5)))
    assert errors[0.0] == pytest.approx(exact, rel=0.03)
    assert min(errors[5.0], errors[-5.0]) > errors[0.0]


def test_the_bound_has_the_error_of_reverse_water_filling() -> None:
    received = GaussianOptimum(basis())(case(), latents(), PROMPTS, Random.of(list(range(NUM_ITEMS))))
    exact = NUM_VALUES * float(gaussian_opta(basis().variances, USES, torch.tensor(10**0.5)))
    assert mean_error(received.values) == pytest.approx(exact, rel=0.03)
    assert received.num_channel_uses == USES


def test_parts_share_the_channel_uses_of_a_case() -> None:
    way = Analog(lambda uses, prompts: LinearCode(uses, basis()), num_parts=4)
    received = way(case(uses=4 * USES), latents()[:8], PROMPTS[:8], Random.of(list(range(8))))
    alone = Analog(lambda uses, prompts: LinearCode(uses, basis()))
    assert torch.equal(received.values, alone(case(), latents()[:8], PROMPTS[:8], Random.of(list(range(8)))).values)
    assert received.num_channel_uses == 4 * USES


def test_information_of_fading_blocks_is_ergodic() -> None:
    """E log2(1 + snr |h|^2) = e^(1/snr) E1(1/snr) / ln 2 (Alouini and Goldsmith 1999)."""
    from scipy.special import exp1

    from gainnet.radio import Air, Rayleigh

    bits = BudgetedAir(Air(Rayleigh(16), 10.0), 16 * 400).mutual_information(Random.of(list(range(8))))
    assert float(bits.mean()) / (16 * 400) == pytest.approx(math.exp(0.1) * exp1(0.1) / math.log(2), rel=0.05)


@final
@dataclass(frozen=True)
class Spelled:
    """As many bytes as fit, each the first letter of the item's own prompt."""

    max_bits: float
    prompts: tuple[str, ...]
    emits: ClassVar[type[Payload]] = Bits

    def of_items(self, items: Sequence[int]) -> Spelled:
        return Spelled(self.max_bits, tuple(self.prompts[item] for item in items))

    def size(self, spec: Spec) -> Size:
        return Size.fixed(self.max_bits)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        return Bits.of([prompt[:1].encode() * int(self.max_bits // 8) for prompt in self.prompts])

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        return torch.tensor([[float(ord(prompt[0]))] for prompt in self.prompts])


def test_every_item_fills_its_own_budget_with_its_own_prompt() -> None:
    snr, prompts = torch.tensor([3.0, 1.0, 3.0, 0.1]), ("a", "b", "c", "d")
    codec = RateMatched(lambda bits: Spelled(bits, prompts), lambda reported: 16 * reported, (1.0,))
    payload = codec.encode(torch.zeros(4, 1), snr)
    assert payload.strings == (b"a" * 6, b"b" * 2, b"c" * 6, None)


@pytest.mark.parametrize("bearer", ["ldpc", "shannon"])
def test_bits_take_the_uses_of_their_budget(bearer: str) -> None:
    x, prompts = torch.zeros(200, 1), ("word",) * 200
    received = Digital(Spelled)(case(uses=512, bearer=bearer), x, prompts, Random.of(list(range(200))))
    assert received.num_channel_uses == pytest.approx(512, rel=0.04)
    assert received.delivered == 1.0
    ceiling = 512 * math.log2(1 + 10**0.5)
    assert 0.5 * ceiling < (received.num_bits or 0) <= ceiling


def test_similarity_is_that_of_the_library() -> None:
    references = Random.of([0, 1, 2]).uniform((3, 32, 32), "pictures")
    images = (references + 0.2 * Random.of([0, 1, 2]).normal((3, 32, 32), "noise")).clamp(0, 1)
    assert fast_ssim(images, references).tolist() == pytest.approx(ssim(images, references).tolist(), abs=1e-5)


@pytest.mark.parametrize("num_samples", [500, 4])
def test_frechet_distance_is_the_formula_with_a_matrix_root(num_samples: int) -> None:
    from scipy.linalg import sqrtm

    turn = Random.of(0).normal((6, 6), "turn")
    one = Random.of(1).normal((num_samples, 6), "one") @ turn + 1
    other = Random.of(2).normal((num_samples, 6), "other")
    (mean, cov), (mean2, cov2) = (
        (x.double().mean(0).numpy(), np.cov(x.double().numpy().T, ddof=0)) for x in (one, other)
    )
    jitter = 1e-12 * np.eye(6)
    root = sqrtm((cov + jitter) @ (cov2 + jitter)).real
    exact = np.square(mean - mean2).sum() + np.trace(cov + cov2 - 2 * root)
    assert frechet_distance(one, other) == pytest.approx(exact, rel=1e-3)
    assert frechet_distance(one, one) == pytest.approx(0.0, abs=1e-5)


def test_judges_are_relative_to_what_was_sent() -> None:
    references = torch.full((2, 3, 4, 4), 0.5)
    row = quality(references + torch.tensor([0.1, 0.01]).reshape(2, 1, 1, 1), references)
    assert row["psnr_db_of_images"] == "20.00 40.00"
    assert row["mse"] == pytest.approx((0.01 + 0.0001) / 2, rel=1e-4)
    assert latent_nmse(torch.ones(5, NUM_VALUES), latents()[:5], basis()) == pytest.approx(1.0)


def test_patches_lie_side_by_side() -> None:
    picture = torch.arange(2 * 3 * 16.0 * 16).reshape(2, 3, 16, 16)
    patches = split_patches(picture)
    assert torch.equal(patches[16 + 6], picture[1, :, 4:8, 8:12])
    assert torch.equal(join_patches(patches), picture)


def small_config() -> SeedCodingConfig:
    return replace(
        load_config(SEED_CODING, "default"),
        random_seeds=(0, 1, 2),
        snrs_db=(0.0, 1.0, 5.0),
        coarse_snrs_db=(0.0, 5.0),
        nums_channel_uses=(32, 64, 256),
        rate_nums_channel_uses=RATE_USES,
        nums_channel_uses_pictures=(64, 128),
        wrong_nums_channel_uses=(32, 64, 256),
        wide_snrs_db=(0.0, 10.0),
    )


OFFSETS_DB = {"linear": 0.0, "seed": 1.0, "seed_prompt": 1.5, "gaussian_opta": 3.0, "digital_seed": 0.5, "webp": -6.0}


@cache
def table() -> pd.DataFrame:
    """PSNR = 10 lg uses + 1.2 SNR + an offset of the method, worse by 2 dB with a wrong report."""
    rows = []
    for each in cases(small_config()):
        values = each.values
        snr_db, uses = float(str(values["snr_db"])), float(str(values["num_channel_uses"]))
        psnr_db = 10 * math.log10(uses) + 1.2 * snr_db + OFFSETS_DB.get(each.method, -20.0) + 0.1 * each.random_seed
        psnr_db -= 2.0 * (values["report_offset_db"] != 0)
        measured = {"psnr_db": psnr_db, "mse": 10 ** (-psnr_db / 10), "psnr_db_of_images": f"{psnr_db - 1} {psnr_db}"}
        judges = {"ssim": 0.9, "prompt_fidelity": 1.0, "latent_nmse": 0.1, "frechet_distance_scenes": 1.0}
        cost = {"num_bits": 8.0, "num_channel_uses_sent": uses, "delivered": 1.0, "num_images": 2}
        row = (
            published_distance(each, Random.of(0))
            if values["bearer"] == "published"
            else {**measured, **judges, **cost}
        )
        rows.append({**each.columns, **row})
    return pd.DataFrame(rows)


@pytest.mark.slow
def test_metrics_of_known_curves() -> None:
    metrics = all_metrics(SEED_CODING, table())
    assert metrics["over_linear_db.min"] == pytest.approx(1.0)
    assert metrics["over_linear_db.l256_0db"] == pytest.approx(1.0)
    assert metrics["over_linear_db.l256_0db_half_width"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["prompt_gain_db.l32"] == pytest.approx(0.5)
    assert metrics["gap_to_opta_db.seed_max"] == pytest.approx(2.0)
    assert metrics["gap_to_opta_db.best_max"] == pytest.approx(2.0)
    assert metrics["steepest_db_per_db"] == metrics["steepest_db_per_db.report_low"] == pytest.approx(1.2)
    psnr_db_of_one_use = 1.2 * 5 + 1.0 - 10 * math.log10(np.mean([10 ** (-0.01 * seed) for seed in range(3)]))
    assert metrics["uses_for_30db.seed.5db"] == pytest.approx(10 ** ((30 - psnr_db_of_one_use) / 10), rel=1e-3)
    assert metrics["uses_for_30db.best_image_codec.0db"] is None


def test_budgets_that_cost_more_and_look_worse_do_not_count() -> None:
    rows = pd.DataFrame(
        {
            "method": "webp",
            "bearer": "ldpc",
            "num_channel_uses_sent": [100.0, 300.0, 200.0, 400.0],
            "psnr_db": [20.0, 24.0, 28.0, 32.0],
        }
    )
    assert fewest_uses(rows, "webp", "ldpc") == pytest.approx(300 * (400 / 300) ** 0.5, rel=1e-6)
    assert fewest_uses(rows, "webp", "shannon") is None


def test_quantiles_are_over_all_pictures_of_all_random_seeds() -> None:
    found = cells(table())
    row = found[(found["method"] == "seed") & (found["snr_db"] == 1.0) & (found["num_channel_uses"] == 64)]
    psnr_db = 10 * math.log10(64) + 1.2 + 1.0
    plain = row[row["report_offset_db"] == 0].iloc[0]
    assert plain["p5_db"] == pytest.approx(psnr_db - 1.0)
    assert plain["p50_db"] == pytest.approx(psnr_db - 0.8)


def test_published_numbers_stand_in_a_column_of_their_own() -> None:
    rows = table()
    theirs = rows[rows["bearer"] == "published"]
    assert theirs[["psnr_db", "mse", "frechet_distance_scenes"]].isna().all(axis=None)
    assert rows[rows["bearer"] != "published"]["frechet_distance_published"].isna().all()
    assert list(theirs["frechet_distance_published"]) == [155.0, 41.0, 5.9, 2.6, 7.3, 5.1]
    assert set(cells(rows)["method"]).isdisjoint(set(theirs["method"]))


@pytest.mark.slow
def test_figures_draw_from_the_table(tmp_path: Path) -> None:
    figures = dict(SEED_CODING.draw(table()))
    assert list(figures) == [
        "psnr_over_snr",
        "psnr_over_uses",
        "other_judges",
        "quantiles",
        "gap_to_opta",
        "mismatch",
        "fading",
        "uses_for_30db",
        "sd_shaped",
    ]
    figures["mismatch"].savefig(tmp_path / "mismatch.png", dpi=40)


@pytest.mark.slow
def test_full_sweeps_every_db_and_every_method_once() -> None:
    config = load_config(SEED_CODING, "full")
    found = list(cases(config))
    assert len({each.key for each in found}) == len(found)
    assert {each.method for each in found} == set(METHODS)
    assert config.num_unseen_images * len(config.random_seeds) == len(unseen_captions())
    assert list(config.snrs_db) == [float(snr_db) for snr_db in range(-10, 21)]


def test_a_run_without_the_learned_codes_leaves_their_metrics_empty() -> None:
    rows = table()
    metrics = summarise(rows[~rows["method"].str.contains("seed")])
    assert metrics["uses_for_30db.seed.0db"] is None
    assert "gap_to_opta_db.seed_max" not in metrics


@pytest.mark.slow
def test_quick_seed_coding_has_every_metric(tmp_path: Path) -> None:
    metrics = run_study("seed-coding", "quick", tmp_path).metrics
    assert set(metrics) == set(SEED_CODING.metric_names)
    assert (metrics["over_linear_db.min"] or -1) > 0
