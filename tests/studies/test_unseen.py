"""Unseen pictures of the study seed-coding: the list, the power rule, and metrics of known curves."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.studies.presets import load_config
from gainnet.studies.seed_coding import SEED_CODING
from gainnet.studies.seed_coding.question import NUMS_BYTES, OVERLAP, SCHEMES, UNSEEN, cases
from gainnet.studies.seed_coding.summary import split
from gainnet.studies.seed_coding.training_lists import draw_unseen_captions
from gainnet.studies.seed_coding.unseen import limited
from gainnet.studies.seed_coding.unseen_drawing import draw_unseen
from gainnet.studies.seed_coding.unseen_list import unseen_captions
from gainnet.studies.seed_coding.unseen_summary import summarise_unseen, unseen_metric_names

NUM_PICTURES = 50
BYTES_FOR_30DB = {"vvc": 160.0, "best_image_codec": 150.0, "transform": 60.0}


def table() -> pd.DataFrame:
    """PSNR = 30 dB + 20 lg(bytes / bytes for 30 dB), better by up to 2 dB for later pictures; 5 uses a byte."""
    rows = []
    for scheme, needed in BYTES_FOR_30DB.items():
        for num_bytes in NUMS_BYTES[scheme]:
            psnr_db = 30 + 20 * math.log10(num_bytes / needed) + np.linspace(0, 2, NUM_PICTURES)
            uses = np.full(NUM_PICTURES, 5.0 * num_bytes)
            row = {"content": UNSEEN, "method": scheme, "snr_db": 0.0, "num_bytes": num_bytes, "random_seed": 0}
            row |= {"num_channel_uses": math.nan, "num_channel_uses_sent": 5.0 * num_bytes, "prompt_fidelity": 0.9}
            row |= {"psnr_db_of_images": " ".join(f"{x:.4f}" for x in psnr_db), "num_images": NUM_PICTURES}
            row |= {"uses_of_images": " ".join(f"{x:g}" for x in uses), "mse": float(np.mean(10 ** (-psnr_db / 10)))}
            rows.append(row)
    rows.append({"content": UNSEEN, "method": OVERLAP, "overlap": 0, "random_seed": 0})
    return pd.DataFrame(rows)


def test_metrics_of_known_curves() -> None:
    metrics = summarise_unseen(table())
    assert set(metrics) <= set(unseen_metric_names())
    mean_gain_db = -10 * math.log10(np.mean(10 ** (-np.linspace(0, 2, NUM_PICTURES) / 10)))
    for scheme, needed in BYTES_FOR_30DB.items():
        uses = 5 * needed * 10 ** (-mean_gain_db / 20)
        assert metrics[f"uses_for_30db.{scheme}.0db"] == pytest.approx(uses, rel=2e-3)
        assert metrics[f"uses_for_30db.{scheme}.0db.median"] == pytest.approx(5 * needed * 10 ** (-1 / 20), rel=5e-3)
        assert metrics[f"uses_for_30db.{scheme}.0db.p05"] == pytest.approx(5 * needed * 10 ** (-0.1 / 20), rel=5e-3)
        low, high = (metrics[f"uses_for_30db.{scheme}.0db.{end}"] for end in ("low", "high"))
        assert low is not None
        assert high is not None
        assert low < uses < high
    assert metrics["share_of_best.transform.0db"] == pytest.approx(0.4, rel=2e-3)
    assert metrics["share_of_best.best_image_codec.0db"] == 1.0
    assert metrics["prompt_fidelity_at_30db.vvc.0db"] == pytest.approx(0.9)
    assert (metrics["num_pictures"], metrics["overlap"]) == (NUM_PICTURES, 0)


def test_what_is_not_reached_is_no_number() -> None:
    rows = table()
    metrics = summarise_unseen(rows[~(rows["num_bytes"] > 110)])
    assert metrics["uses_for_30db.vvc.0db"] is None
    assert metrics["share_of_best.transform.0db"] is None
    assert metrics["uses_for_30db.transform.0db"] is not None


def test_items_beyond_unit_power_are_scaled_down_and_others_left() -> None:
    values = Random.of([0, 1, 2]).complex_normal((64,), "symbols") * torch.tensor([0.5, 1.5, 3.0])[:, None]
    sent, power = limited(Symbols.clean(values))
    assert float(power.max()) > 4
    assert torch.equal(sent.values[0], values[0])
    assert sent.values.abs().square().mean(-1)[1:].tolist() == pytest.approx([1.0, 1.0])


def test_every_scheme_meets_every_snr_on_its_own_budgets() -> None:
    config = replace(load_config(SEED_CODING, "quick"), schemes=SCHEMES, unseen_snrs_db=(-20.0, 0.0))
    found = [case for case in cases(config) if case.values["content"] == UNSEEN]
    assert {case.method for case in found} >= set(SCHEMES) | {OVERLAP}
    vvc = [(case.values["num_bytes"], case.values["snr_db"]) for case in found if case.method == "vvc"]
    # SNRs innermost: an encode serves all of them.
    assert vvc[:3] == [(NUMS_BYTES["vvc"][0], -20.0), (NUMS_BYTES["vvc"][0], 0.0), (NUMS_BYTES["vvc"][1], -20.0)]
    rows = pd.concat([table(), pd.DataFrame([{"content": "scene", "method": "linear", "num_channel_uses": 64.0}])])
    unseen, others = split(rows)
    assert len(unseen) == len(table())
    assert others["num_channel_uses"].tolist() == [64]


def test_the_list_is_long_enough_and_each_caption_comes_once() -> None:
    listed = unseen_captions()
    assert len(set(listed)) == len(listed) >= 200
    assert any(" at " not in caption and " on " not in caption for caption in listed)


@pytest.mark.slow
def test_the_list_is_drawn_again_as_it_was() -> None:
    assert draw_unseen_captions(len(unseen_captions())) == unseen_captions()


@pytest.mark.slow
def test_the_figure_has_a_panel_per_snr() -> None:
    assert len([ax for ax in draw_unseen(table()).axes if ax.has_data()]) == 1
