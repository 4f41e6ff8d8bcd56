"""Gains of impulse responses: closed forms of two paths, shapes of ray tracers, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.radio.impulse import ImpulseResponses

PLACES_M = np.array([[0.0, 0.0, 1.5], [100.0, 0.0, 1.5]])


def write(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_two_paths_interfere_within_a_narrow_band_and_add_their_powers_in_a_wide_one(tmp_path: Path) -> None:
    a = np.array([[[1.0, -0.5j]], [[2.0, 0.0]]]) * np.exp(0.3j)
    a[0, 0, 1] = -0.5 * np.exp(0.3j)
    path = write(tmp_path / "r.npz", a=a, tau=np.array([[[0.0, 1e-7]], [[0.0, -1.0]]]), positions=PLACES_M)
    responses = ImpulseResponses.read(path)
    band_hz = torch.tensor([1.0, 1e9, 5e6, 5e6], dtype=torch.float64)
    place_m = torch.tensor([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [99.0, 0.0]], dtype=torch.float64)
    expected = [0.25, 1.25, 1.25 - float(np.sinc(0.5)), 4.0]
    assert responses.gain(place_m, band_hz).squeeze(-1).tolist() == pytest.approx(expected, rel=1e-6)


def test_the_mean_over_the_band_is_what_a_sweep_of_frequencies_has(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(2, 3, 7)) + 1j * rng.normal(size=(2, 3, 7))
    tau = rng.uniform(0, 3e-7, size=a.shape)
    responses = ImpulseResponses.read(write(tmp_path / "r.npz", a=a, tau=tau, positions=PLACES_M))
    f_hz = np.linspace(-5e6, 5e6, 20_001)
    swept = np.abs((a[0, :, :, None] * np.exp(-2j * np.pi * f_hz * tau[0, :, :, None])).sum(1)) ** 2
    found = responses.gain(torch.zeros(1, 2).double(), torch.tensor([1e7]).double())
    assert found[0].tolist() == pytest.approx(swept.mean(-1).tolist(), rel=1e-3)


def test_antennas_of_a_ray_tracer_are_averaged(tmp_path: Path) -> None:
    """Sionna RT: a is [rx, rx_ant, tx, tx_ant, paths, times], tau [rx, tx, paths], -1 for no path."""
    a = np.ones((2, 2, 3, 4, 5, 6), dtype=np.complex64)
    tau = np.broadcast_to(np.array([0.0, 1e-3, 2e-3, -1.0, -1.0]), (2, 3, 5))
    responses = ImpulseResponses.read(write(tmp_path / "r.npz", a=a, tau=tau, positions=PLACES_M))
    assert responses.num_bases == 3
    found = responses.gain(torch.zeros(1, 2).double(), torch.tensor([1e7]).double())
    assert found.flatten().tolist() == pytest.approx([3.0] * 3, rel=1e-3)


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"a": np.ones((2, 1, 1)), "tau": np.ones((2, 1, 1))}, "no 'positions'"),
        ({"a": np.ones((2, 1, 1)), "tau": np.ones((2, 1, 2)), "positions": PLACES_M}, "do not fit"),
        ({"a": np.ones((3, 1, 1)), "tau": np.ones((3, 1, 1)), "positions": PLACES_M}, "do not fit"),
        ({"a": np.full((2, 1, 1), np.nan), "tau": np.ones((2, 1, 1)), "positions": PLACES_M}, "not finite"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        ImpulseResponses.read(write(tmp_path / "r.npz", **arrays))


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.npz").write_text("none")
    with pytest.raises(ConfigError, match="cannot be read"):
        ImpulseResponses.read(tmp_path / "r.npz")
