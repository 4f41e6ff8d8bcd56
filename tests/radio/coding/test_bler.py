"""Block error rate tables: what was measured, and the line through it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from gainnet.core.errors import ConfigError
from gainnet.radio import LADDER, BlerPoint, load_bler_tables, make_bler_tables
from gainnet.radio.coding.bler import TABLE_PATH
from gainnet.radio.coding.bler_measurement import LENGTHS, fit_probit_line
from gainnet.radio.coding.mcs import NUM_CRC_BITS

CURVES = json.loads(TABLE_PATH.read_text())["curves"]


def test_wilson_interval_is_the_textbook_one() -> None:
    expected = stats.binomtest(7, 50).proportion_ci(method="wilson")
    assert BlerPoint(50, 7).wilson() == pytest.approx((expected.low, expected.high), abs=1e-4)


def test_fit_finds_the_line_that_made_the_points() -> None:
    rng = np.random.default_rng(0)
    snr_db = np.linspace(2.0, 4.0, 6)
    errors = rng.binomial(4000, stats.norm.sf((snr_db - 2.6) / 0.4))
    median, spread = fit_probit_line([(float(x), BlerPoint(4000, int(e))) for x, e in zip(snr_db, errors, strict=True)])
    assert median == pytest.approx(2.6, abs=0.03)
    assert spread == pytest.approx(0.4, abs=0.03)


def test_every_curve_was_measured() -> None:
    assert {(c["mcs_index"], c["num_information_bits"]) for c in CURVES} == {
        (i, k) for i in range(len(LADDER)) for k in LENGTHS
    }
    assert all(sum(p["num_trials"] for p in c["points"]) >= 500 for c in CURVES)


def test_measured_points_lie_on_the_lines() -> None:
    """Of all points at most 2 % lie outside a 99.9 % interval around the line."""
    points = [(c, p) for c in CURVES for p in c["points"]]
    rates = stats.norm.sf([(p["snr_db"] - c["median_snr_db"]) / c["spread_db"] for c, p in points])
    trials, errors = ([p[key] for _, p in points] for key in ("num_trials", "num_errors"))
    outside = (stats.binom.cdf(errors, trials, rates) < 5e-4) | (
        stats.binom.sf(np.array(errors) - 1, trials, rates) < 5e-4
    )
    assert outside.mean() <= 0.02


def test_no_curve_beats_the_shannon_limit() -> None:
    for c in CURVES:
        needed = c["median_snr_db"] + 2.33 * c["spread_db"]
        assert needed > 10 * math.log10(2 ** LADDER[c["mcs_index"]].spectral_efficiency - 1)


def test_block_error_rate_falls_with_snr_and_meets_the_target_where_required() -> None:
    tables = load_bler_tables()
    scheme, length = torch.arange(len(LADDER))[:, None], torch.full((len(LADDER), 1), 700)
    curve = tables.bler(scheme, length, torch.linspace(-20, 40, 200))
    assert bool((curve.diff(dim=-1) <= 0).all())
    required = tables.required_snr_db(scheme, length, 1e-2)
    torch.testing.assert_close(tables.bler(scheme, length, required), torch.full(scheme.shape, 1e-2).double())


def test_longer_codes_fall_more_steeply() -> None:
    spread = load_bler_tables().spread_db
    assert float((spread[:, 0] / spread[:, -1]).median()) > 2.0


@pytest.mark.slow
def test_tables_can_be_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "new" / "bler.json"
    lines: list[str] = []
    make_bler_tables(path, mcs_indices=[24], lengths=[64], progress=lines.append)
    (curve,) = json.loads(path.read_text())["curves"]
    assert len(lines) == 1
    assert [p.name for p in path.parent.iterdir()] == ["bler.json"]
    (shipped,) = (c for c in CURVES if (c["mcs_index"], c["num_information_bits"]) == (24, 8 * 6 + NUM_CRC_BITS))
    assert curve == shipped


def test_missing_or_partial_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make it anew"):
        load_bler_tables(tmp_path / "none.json")
    partial = tmp_path / "partial.json"
    partial.write_text(json.dumps({"curves": CURVES[:3]}))
    with pytest.raises(ConfigError, match="make it anew"):
        load_bler_tables(partial)
