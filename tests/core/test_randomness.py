"""Named streams: the same draw for the same name, independent draws for every other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random


def test_a_draw_does_not_depend_on_other_draws() -> None:
    random = Random.of([1, 2])
    first = random.normal((8,), "noise")
    random.normal((1000,), "something else")
    torch.manual_seed(99)
    np.random.default_rng().random()
    assert torch.equal(first, random.normal((8,), "noise"))


@pytest.mark.parametrize("batch", [(6,), (2, 3), (3, 1, 2)])
def test_an_item_of_a_batch_is_the_item_alone(batch: tuple[int, ...]) -> None:
    random = Random(tuple(range(40, 46)), batch)
    for draw in ("normal", "complex_normal", "uniform"):
        together = getattr(random, draw)((5, 2), "x", 3).reshape(6, 5, 2)
        for item in range(6):
            assert torch.equal(together[item], getattr(Random.of(40 + item), draw)((5, 2), "x", 3))


def test_streams_of_different_items_names_and_steps_are_uncorrelated() -> None:
    draws = [
        Random.of(random_seed).normal((20_000,), name, step)
        for random_seed, name, step in itertools.product((0, 1), ("air", "prior"), (0, 1))
    ]
    correlation = np.corrcoef(torch.stack(draws).numpy()) - np.eye(len(draws))
    assert np.abs(correlation).max() < 5 / np.sqrt(20_000)


def test_a_path_is_its_names_in_order() -> None:
    random = Random.of(5)
    assert torch.equal(random.child("a", 1).normal((3,), "b"), random.normal((3,), "a", 1, "b"))
    assert not torch.equal(random.normal((3,), "a", "b"), random.normal((3,), "b", "a"))
    assert not torch.equal(random.normal((3,), "ab"), random.normal((3,), "a", "b"))


def test_normals_are_normal() -> None:
    sample = Random.of(range(50)).normal((400,), "noise").flatten().numpy()
    assert stats.kstest(sample, "norm").pvalue > 0.01


def test_uniforms_are_uniform() -> None:
    sample = Random.of(range(50)).uniform((400,), "u").flatten().numpy()
    assert stats.kstest(sample, "uniform").pvalue > 0.01
    assert sample.min() >= 0.0
    assert sample.max() < 1.0


def test_complex_normals_are_circular_and_of_unit_variance() -> None:
    sample = Random.of(range(50)).complex_normal((400,), "h").flatten().numpy()
    assert stats.kstest(sample.real * np.sqrt(2), "norm").pvalue > 0.01
    assert stats.kstest(np.angle(sample), "uniform", args=(-np.pi, 2 * np.pi)).pvalue > 0.01
    assert stats.kstest(np.abs(sample) ** 2, "expon").pvalue > 0.01


@pytest.mark.parametrize("batch", [(), (2,)])
def test_no_draws_are_an_empty_tensor(batch: tuple[int, ...]) -> None:
    random = Random(tuple(range(len(torch.zeros(batch).reshape(-1)))), batch)
    assert random.complex_normal((0,), "h").shape == (*batch, 0)


def test_draws_are_the_same_on_every_machine() -> None:
    """NumPy keeps the bit streams of PCG64 and SeedSequence; crc32("test") is 0xd87f7e0c."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([7, 0xD87F7E0C])))
    assert np.array_equal(Random.of(7).uniform((4,), "test").numpy(), generator.random(4, dtype=np.float32))


def test_a_batch_that_does_not_hold_its_seeds_is_refused() -> None:
    with pytest.raises(ValueError, match="does not hold 3"):
        Random((1, 2, 3), (2,))


def test_a_scalar_of_a_single_item() -> None:
    assert Random.of(0).normal((), "a").shape == Random.of(0).uniform((), "a").shape == ()


def test_a_negative_random_seed_is_refused() -> None:
    for random_seeds in (-1, [3, -1]):
        with pytest.raises(ConfigError, match="random_seed: -1 is negative"):
            Random.of(random_seeds)
