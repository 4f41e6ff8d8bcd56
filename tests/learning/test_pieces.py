"""Partition, merging, costs: against closed forms and brute force."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from gainnet.catalog.learning import cut_of
from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.algorithm import average
from gainnet.learning.algorithms.costs import split_step_cost, whole_step_cost
from gainnet.learning.algorithms.merging import low_rank, merge_by_sign, merge_products, ties, updates_of
from gainnet.learning.clients import Participation, dirichlet_shares, partition
from gainnet.learning.split.model import Cut
from gainnet.models.language import small_decoder
from gainnet.wire.frames import from_bytes, to_bytes

ROWS = torch.arange(4 * 24).reshape(4, 24) % 100


def test_dirichlet_shares_have_the_moments_of_the_law() -> None:
    for skew in (0.3, 2.0):
        shares = dirichlet_shares(20_000, 4, skew, Random.of(1))
        torch.testing.assert_close(shares.sum(1), torch.ones(20_000, dtype=torch.float64))
        variance = (1 / 4) * (3 / 4) / (4 * skew + 1)
        assert float(shares.mean(0).sub(0.25).abs().max()) < 0.01
        assert float(shares.var(0).mean()) == pytest.approx(variance, rel=0.03)


@pytest.mark.parametrize("skew", [0.05, 1.0, float("inf")])
def test_every_row_has_one_owner(skew: float) -> None:
    kinds = [torch.full((40, 3), k * 100) + torch.arange(40)[:, None] for k in range(3)]
    parts = partition(kinds, 5, skew, Random.of(2))
    everything = torch.cat(kinds)[:, 0].sort().values
    if all(len(part) > 1 for part in parts):
        assert torch.equal(torch.cat(parts)[:, 0].sort().values, everything)
    assert all(len(part) > 0 for part in parts)
    if skew == float("inf"):
        assert [len(part) for part in parts] == [24] * 5
    with pytest.raises(ConfigError, match="clients"):
        partition(kinds, 121, skew, Random.of(2))


def test_the_share_that_takes_part() -> None:
    with pytest.raises(ConfigError, match="share"):
        Participation(share=1.5)
    with pytest.raises(ConfigError, match="deadline_s"):
        Participation(deadline_s=0.0)


def factors(random_seed: int, rank: int) -> dict[str, torch.Tensor]:
    random = Random.of(random_seed)
    return {
        "x.lora_A.weight": random.normal((rank, 6), "a"),
        "x.lora_B.weight": random.normal((5, rank), "b"),
    }


def test_products_of_any_rank_average_exactly() -> None:
    states, weights = [factors(i, rank) for i, rank in enumerate((1, 2, 3))], [1.0, 2.0, 3.0]
    wanted = sum(w / 6 * updates_of(s)["x"] for w, s in zip(weights, states, strict=True))
    torch.testing.assert_close(updates_of(merge_products(states, weights, 5))["x"], wanted, rtol=0, atol=1e-5)
    u, s, v = torch.linalg.svd(wanted)  # type: ignore[arg-type]
    best = (u[:, :2] * s[:2]) @ v[:2]
    torch.testing.assert_close(updates_of(merge_products(states, weights, 2))["x"], best, rtol=0, atol=1e-5)


def test_averaging_factors_is_not_averaging_products() -> None:
    states = [factors(0, 2), factors(1, 2)]
    apart = updates_of(average(states, [1, 1]))["x"]
    together = updates_of(merge_products(states, [1, 1], 4))["x"]
    assert float((apart - together).abs().max()) > 0.1


def test_ties_by_hand() -> None:
    a, b, c = torch.tensor([3.0, -2.0, 0.1, 1.0]), torch.tensor([1.0, 2.0, 0.2, -4.0]), torch.tensor([0.5, 1, 3, 1])
    # largest two of each: (3, -2), (2, -4), (1 or 1 -> 3 and 1); elected signs +, +, +, -
    merged = ties([a, b, c], [1, 1, 1], 0.5)
    assert float(merged[0]) == 3.0
    assert float(merged[2]) == 3.0
    assert float(merged[3]) == -4.0
    torch.testing.assert_close(ties([a, b], [1, 1], 1.0), torch.tensor([2.0, 0.0, 0.15, -4.0]), rtol=0, atol=1e-6)
    single = merge_by_sign([factors(3, 2)], [1.0], 2, density=1.0)
    torch.testing.assert_close(updates_of(single)["x"], updates_of(factors(3, 2))["x"], rtol=0, atol=1e-5)


def test_low_rank_of_a_larger_rank_is_exact() -> None:
    update = {"x": updates_of(factors(4, 2))["x"]}
    padded = low_rank(update, 9)
    assert padded["x.lora_A.weight"].shape == (9, 6)
    torch.testing.assert_close(updates_of(padded)["x"], update["x"], rtol=0, atol=1e-5)


def test_files_come_back() -> None:
    assert torch.equal(from_bytes(to_bytes({"a": torch.arange(5.0)}))["a"], torch.arange(5.0))
    with pytest.raises(PayloadError, match="safetensors"):
        from_bytes(torch.zeros(40, dtype=torch.uint8))


@pytest.mark.slow
def test_costs_of_the_parts_are_those_of_the_whole() -> None:
    model = small_decoder(16, 3, 2)
    whole = whole_step_cost(model, ROWS)
    for text in ("embedding_only", "u_shape", "u_shape+1", "embedding_only+2"):
        cost = split_step_cost(model, cut_of(text), ROWS)
        assert cost.device_flops + cost.edge_flops == pytest.approx(whole.device_flops, rel=1e-9), text
        assert sum(cost.flops_of_segment.values()) == pytest.approx(whole.device_flops)
        assert cost.device_parameter_bytes < whole.device_parameter_bytes
        assert cost.device_saved_bytes < whole.device_saved_bytes


@pytest.mark.slow
def test_costs_in_closed_form() -> None:
    model = small_decoder(16, 3, 2)
    batch, length, width, tokens, hidden = 4, 24, 16, model.config.vocab_size, model.config.intermediate_size
    maps = 4 * width * width + 3 * width * hidden
    # Forward, gradient of the input, gradient of the weight: three products each; the first input needs one, too.
    flops = 3 * 2 * batch * length * (3 * maps + width * tokens)
    attention = 3 * 2 * 2 * batch * length * length * width * 3
    measured = whole_step_cost(model, ROWS).device_flops
    assert flops <= measured <= flops + 1.4 * attention
    u_shape = split_step_cost(model, Cut(0, True), ROWS)
    assert u_shape.device_flops == 3 * 2 * batch * length * width * tokens
    assert u_shape.device_parameter_bytes == 4 * 2 * tokens * width
    assert split_step_cost(model, Cut(), ROWS).device_flops == 0
    assert split_step_cost(model, Cut(), ROWS).device_memory_bytes(2) >= 16 * tokens * width


def test_counting_leaves_no_trace() -> None:
    model = small_decoder(16, 3, 2)
    before: Any = copy.deepcopy(model.state_dict())
    whole_step_cost(model, ROWS)
    split_step_cost(model, Cut(0, True), ROWS)
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
