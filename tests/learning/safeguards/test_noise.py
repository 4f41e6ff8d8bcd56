"""Secret noise: its law, its grid, and that no seed of anybody brings it back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.learning.safeguards.noise import GRID_BITS, Entropy, Seeded

RANDOM = Random.of(0)


def drawn(std: float, count: int = 60_001) -> torch.Tensor:
    return Entropy().noised({"a": torch.zeros(count)}, std, RANDOM, torch.float32)["a"]


def test_secret_noise_is_normal_and_never_the_same() -> None:
    first, other = drawn(0.3), drawn(0.3)
    assert kstest(first.numpy() / 0.3, "norm").pvalue > 1e-5
    assert abs(float((first * other).mean())) / 0.09 < 0.03
    assert float((first == other).double().mean()) < 1e-3
    assert abs(float(torch.corrcoef(torch.stack([first[:30_000], first[30_000:60_000]]))[0, 1])) < 0.03


def test_no_seed_of_torch_or_numpy_decides_it() -> None:
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002  # the global one is what is meant
        found.append(drawn(1.0, 8))
    assert not torch.equal(*found)


def test_released_sums_lie_on_a_grid_that_does_not_depend_on_them() -> None:
    total = torch.tensor([0.1, 1e-9, math.pi, -2.0 / 3.0], dtype=torch.float64)
    found = Entropy().noised({"x": total[:1], "y": total[1:]}, 0.7, RANDOM, torch.float64)
    steps = torch.cat(list(found.values())) * 2.0 ** (GRID_BITS + 1)
    assert torch.equal(steps, steps.round())
    with pytest.raises(ConfigError, match="clip_norm"):
        Entropy().noised({"x": torch.tensor([1e9])}, 0.7, RANDOM, torch.float64)
    with pytest.raises(ConfigError, match="not finite"):
        Entropy().noised({"x": torch.tensor([math.nan])}, 0.7, RANDOM, torch.float64)


def test_samples_have_the_rate_and_the_mode_for_tests_repeats() -> None:
    assert float(Entropy().sample(20_000, 0.2, RANDOM).double().mean()) == pytest.approx(0.2, abs=0.016)
    assert bool(Entropy().sample(100, 1.0, RANDOM).all())
    assert torch.equal(Seeded().sample(50, 0.3, RANDOM), Seeded().sample(50, 0.3, RANDOM))
    twice = [Seeded().noised({"a": torch.zeros(9)}, 1.0, RANDOM, torch.float32)["a"] for _ in range(2)]
    assert torch.equal(*twice)
    assert (Entropy().private, Seeded().private) == (True, False)
