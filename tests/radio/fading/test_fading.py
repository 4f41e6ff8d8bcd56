"""Correlated, Rician and TR 38.901 fading against closed forms, the standard's tables and Sionna's own channels."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from scipy import special, stats

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.radio import CHANNELS, Cdl, Grid, Jakes, Known, LeastSquares, Lmmse, Ofdm, Rician, Tdl
from gainnet.radio.fading.estimation import _correlations
from gainnet.radio.fading.waves import Profile

RANDOM = Random.of(range(1500))
PROFILES = [Tdl("A"), Tdl("C"), Tdl("D"), Cdl("A"), Cdl("C"), Cdl("E")]

# Normalised delays and powers of TR 38.901, Tables 7.7.2-1 to -3: some rows of each.
TDL_ROWS = {
    "A": {0: (0.0, -13.4), 1: (0.3819, 0.0), 2: (0.4025, -2.2), 22: (9.6586, -29.7)},
    "B": {0: (0.0, 0.0), 1: (0.1072, -2.2), 22: (4.7834, -11.3)},
    "C": {0: (0.0, -4.4), 1: (0.2099, -1.2), 5: (0.6366, 0.0), 23: (8.6523, -22.8)},
}


def test_jakes_envelope_is_rayleigh_and_its_correlation_is_the_bessel_function() -> None:
    channel, lags = Jakes(doppler=0.05), torch.arange(30)
    gains = channel.gains(RANDOM, lags.expand(1500, 30))
    for block in (0, 7, 29):
        pvalue = stats.kstest(gains[:, block].abs().numpy(), stats.rayleigh(scale=math.sqrt(0.5)).cdf).pvalue
        assert pvalue > 1e-3
    found = (gains * gains[:, :1].conj()).mean(0)
    expected = torch.from_numpy(special.j0(2 * math.pi * 0.05 * lags.numpy()))
    assert float((found - expected).abs().max()) < 4.5 / math.sqrt(1500)


def test_jakes_correlation_is_exact_over_the_angles() -> None:
    """The mean over one uniform angle per sector is the integral of the Bessel function, for any number of waves."""
    random = Random.of(range(4000))
    lag = torch.tensor([3.0])
    tie = Jakes(doppler=0.1)._rotations(random, lag.expand(4000, 1)).mean()
    assert abs(complex(tie) - special.j0(2 * math.pi * 0.3)) < 5e-3


def test_jakes_given_another_first_gain_is_the_conditional_process() -> None:
    """Given h_0 = g the mean of h_b is J0 g and its variance 1 - J0^2, up to the spread of the angles."""
    channel, given = Jakes(doppler=0.05), torch.full((1500,), 2.0 + 0j)
    later = channel.block_gains(given, 6, RANDOM)
    assert bool((later[:, 0] == given).all())
    rho = special.j0(2 * math.pi * 0.05 * 5)
    assert complex(later[:, 5].mean()) == pytest.approx(2 * rho, abs=0.1)
    assert float((later[:, 5] - 2 * rho).abs().square().mean()) == pytest.approx(1 - rho**2, abs=0.15)


@pytest.mark.parametrize("k_factor", [0.0, 1.0, 4.0, 30.0])
def test_rician_power_is_noncentral_chi_square(k_factor: float) -> None:
    power = Rician(k_factor).first_gain(RANDOM).abs().square().numpy()
    law = stats.ncx2(2, 2 * k_factor, scale=0.5 / (k_factor + 1)) if k_factor else stats.expon()
    assert stats.kstest(power, law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", [n if n == "A" else pytest.param(n, marks=pytest.mark.slow) for n in TDL_ROWS])
def test_power_delay_profiles_are_those_of_the_standard(name: str) -> None:
    waves = Tdl(name, delay_spread_s=1e-6).waves(RANDOM)
    power = waves.amplitude.abs().square().sum(-1).mean(0)
    listed_db = 10 * power.log10()
    strongest = max(TDL_ROWS[name], key=lambda row: TDL_ROWS[name][row][1])
    for row, (delay, power_db) in TDL_ROWS[name].items():
        assert float(waves.delay_s[row]) == pytest.approx(delay * 1e-6, rel=1e-4)
        assert float(listed_db[row] - listed_db[strongest]) == pytest.approx(power_db, abs=0.35)
    assert float(power.sum()) == pytest.approx(1.0, abs=0.05)
    spread = math.sqrt(float((power * waves.delay_s**2).sum() - (power * waves.delay_s).sum() ** 2))
    assert spread == pytest.approx(1e-6, rel=0.05), "the table is normalised to an RMS delay spread of one"


@pytest.mark.parametrize(
    "profile",
    [p if p in (PROFILES[0], PROFILES[-1]) else pytest.param(p, marks=pytest.mark.slow) for p in PROFILES],
    ids=str,
)
def test_correlation_over_frequency_and_time_is_the_one_that_estimators_use(profile: Profile) -> None:
    frequency, time = torch.tensor([0.0, 2e5, 9e5]), torch.tensor([0.0, 7e-4, 3e-3])
    response = profile.waves(RANDOM).response(frequency, time)
    found = (response * response[:, :1, :1].conj()).mean(0)
    expected = profile.correlation(frequency, time[:, None])
    assert float((found - expected).abs().max()) < 5 / math.sqrt(1500)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["A", "C", "D"])
@pytest.mark.parametrize("kind", ["tdl", "cdl"])
def test_correlation_is_that_of_sionnas_channel(kind: str, name: str) -> None:
    """Over frequency and time, from 1,500 of Sionna's own realisations."""
    from sionna.phy.channel import cir_to_ofdm_channel
    from sionna.phy.channel.tr38901 import CDL, TDL, PanelArray

    speed = 97.0 * 3e8 / 3.5e9
    if kind == "tdl":
        model = TDL(name, 300e-9, 3.5e9, min_speed=speed)
    else:
        one = PanelArray(1, 1, "single", "V", "omni", 3.5e9)
        heading = 2 * math.pi * torch.rand(1500, generator=torch.Generator().manual_seed(0))
        velocity = speed * torch.stack([heading.cos(), heading.sin(), torch.zeros(1500)], -1)
        model = CDL(name, 300e-9, 3.5e9, one, one, "downlink", ut_velocity=velocity)
    a, tau = model(1500, 4, 1000.0)
    frequency = torch.tensor([0.0, 2e5, 9e5])
    theirs = cir_to_ofdm_channel(frequency, a, tau)[:, 0, 0, 0, 0]
    found = (theirs * theirs[:, :1, :1].conj()).mean(0)
    profile: Profile = Tdl(name) if kind == "tdl" else Cdl(name)
    expected = profile.correlation(frequency, 1e-3 * torch.arange(4)[:, None])
    assert float((found - expected).abs().max()) < 5 / math.sqrt(1500)


@pytest.mark.parametrize("estimator", [Lmmse(), LeastSquares()], ids=str)
@pytest.mark.parametrize("profile", [Tdl("C"), pytest.param(Cdl("A"), marks=pytest.mark.slow)], ids=str)
def test_an_estimate_is_as_wrong_as_it_says(profile: Profile, estimator: Lmmse | LeastSquares) -> None:
    channel = Ofdm(profile, estimator=estimator)
    random = Random.of(range(300))
    sent = random.complex_normal((936,), "sent")
    gain, snr = channel.first_gain(random), torch.full((300,), 10.0)
    received = channel.transmit(sent, snr, gain, random)
    true = replace(channel, estimator=Known()).transmit(sent, snr, gain, random)
    assert torch.equal(received.values, true.values)
    error = (received.gain - true.gain).abs().square().mean()
    told = received.noise_variance.mean() - 0.1
    assert float(error) == pytest.approx(float(told), rel=0.05)


def test_lmmse_is_the_better_estimate_and_orthogonal_to_its_error() -> None:
    """The error of the best linear estimate is uncorrelated with every pilot (Kay 1993, section 12)."""
    profile, grid = Tdl("C"), Grid()
    best, straight = (e.design(profile, grid, 0.1) for e in (Lmmse(), LeastSquares()))
    assert float(best.error_variance.mean()) < 0.25 * float(straight.error_variance.mean())
    assert bool((best.error_variance <= straight.error_variance + 1e-6).all())
    between, among = _correlations(profile, grid)
    noisy = among + 0.1 * torch.eye(len(among), dtype=among.dtype)
    cross = between - best.weights.to(among.dtype) @ noisy
    assert float(cross.abs().max()) < 1e-5


def test_straight_lines_between_pilots_are_sionnas() -> None:
    """Linear interpolation of Sionna's own estimator, on the same received pilots, inside them."""
    from sionna.phy.ofdm import KroneckerPilotPattern, LinearInterpolator, ResourceGrid

    grid = Grid(num_subcarriers=12)
    own = ResourceGrid(14, 12, 15e3, pilot_pattern="kronecker", pilot_ofdm_symbol_indices=[2, 11])
    assert isinstance(own.pilot_pattern, KroneckerPilotPattern)
    pilots = torch.randn(2, 12, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    theirs, _ = LinearInterpolator(own.pilot_pattern)(pilots.reshape(1, 1, 1, 1, 1, 24), torch.ones(1, 1, 1, 1, 1, 24))
    along = LeastSquares().design(Tdl("C"), grid, 0.1).weights
    on_every_second = pilots[:, ::2].reshape(-1)
    ours = torch.full((14 * 12,), complex("nan"))
    ours[grid.content()] = along @ on_every_second
    inside = [(t, k) for t in range(3, 11) for k in range(0, 11, 2)]
    rows = theirs.reshape(14, 12)
    for t, k in inside:
        assert complex(ours[t * 12 + k]) == pytest.approx(complex(rows[t, k]), abs=1e-4)


def test_a_grid_has_room_for_everything() -> None:
    grid = Grid()
    assert sorted(torch.cat([grid.content(), grid.pilots()]).tolist()) == list(range(14 * 72))
    assert grid.slot_s == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Jakes(doppler=0.7), "doppler"),
        (lambda: Jakes(block_length=0), "block_length"),
        (lambda: Rician(-1.0), "k_factor"),
        (lambda: Tdl("F"), "TDL-F"),
        (lambda: Cdl("C", doppler_hz=-1.0), "doppler_hz"),
        (lambda: Tdl("C", delay_spread_s=1.0), "delay_spread_s"),
        (lambda: Grid(num_subcarriers=7), "num_subcarriers"),
        (lambda: Grid(pilot_symbols=(20,)), "pilot_symbols"),
    ],
)
def test_impossible_air_is_refused(make: object, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        make()  # type: ignore[operator]


def test_every_channel_has_a_name() -> None:
    assert {"awgn", "rayleigh", "rician", "jakes", "tdl-a", "tdl-b", "tdl-c", "cdl-c"} <= set(CHANNELS)


@pytest.mark.slow
def test_lines_between_pilots_are_those_of_sionna_and_are_held_beyond() -> None:
    """Sionna goes on along the last line beyond the outermost pilots, which doubles their noise there."""
    import numpy as np
    from sionna.phy.ofdm import LinearInterpolator, PilotPattern

    grid = Grid(num_subcarriers=12)
    mask = grid.is_pilot().numpy()[None, None]
    pilots = torch.from_numpy(np.random.default_rng(1).standard_normal((1, grid.num_pilots))).to(torch.complex64)
    interpolator = LinearInterpolator(PilotPattern(mask, np.ones((1, 1, grid.num_pilots), np.complex64)))
    found, _ = interpolator(pilots.reshape(1, 1, 1, 1, 1, -1), torch.ones(1, 1, 1, 1, 1, grid.num_pilots))
    theirs = found.reshape(grid.num_symbols, grid.num_subcarriers)
    ours = torch.zeros(grid.num_symbols * grid.num_subcarriers, dtype=torch.complex64)
    ours[grid.content()] = LeastSquares().design(Tdl("C"), grid, 0.1).weights @ pilots[0]
    ours = ours.reshape(theirs.shape)
    inside = torch.zeros(theirs.shape, dtype=torch.bool)
    inside[grid.pilot_symbols[0] : grid.pilot_symbols[1] + 1, :-1] = True
    inside &= ~grid.is_pilot()
    assert torch.allclose(ours[inside], theirs[inside], atol=1e-5)
    assert not torch.allclose(ours[0], theirs[0], atol=1e-2)
