"""Seeds that are hashed together are those that NumPy hashes one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gainnet.core.randomness import FEWEST_TOGETHER, Random
from gainnet.core.seeding import MOST_WORDS, generators_of, states_of


@pytest.mark.parametrize("num_words", [*range(1, 8), MOST_WORDS])
def test_states_are_those_of_numpy(num_words: int) -> None:
    seeds = np.random.default_rng(num_words).integers(0, 2**32, (5, num_words), dtype=np.uint32)
    for seed, state, ours in zip(seeds, states_of(seeds), generators_of(seeds), strict=True):
        assert (state == np.random.SeedSequence(seed).generate_state(4, np.uint64)).all()
        assert ours.bit_generator.state == np.random.default_rng(seed).bit_generator.state


def test_an_item_draws_the_same_alone_and_among_many() -> None:
    seeds = [0, 7, 2**32 - 1, *range(100, 100 + FEWEST_TOGETHER)]
    together = Random.of(seeds).normal((3,), "link", 2)
    assert torch.equal(together, torch.stack([Random.of(seed).normal((3,), "link", 2) for seed in seeds]))
    # Of more than a word, or with more names than are hashed together, NumPy makes all of them itself.
    large = Random.of([2**40, *seeds]).normal((3,), "link", 2)
    assert torch.equal(large[1:], together)
    deep = [str(k) for k in range(MOST_WORDS)]
    assert torch.equal(Random.of(seeds).uniform((2,), *deep)[1], Random.of(7).uniform((2,), *deep))
