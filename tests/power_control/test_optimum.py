"""Optima of power control against a solver, brute force and figures computed elsewhere."""

from __future__ import annotations

import itertools
from functools import cache

import cvxpy
import pytest
import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.power_control import (
    CausalOptimum,
    Chain,
    FixedMultiplier,
    Greedy,
    MeanGain,
    PowerPolicy,
    Replanned,
    Static,
    TruncatedInversion,
    load_policy,
    non_causal_powers,
)
from gainnet.power_control.env import Episodes
from gainnet.power_control.fading import FADINGS, RayleighGains
from gainnet.power_control.quality import static_mean_error
from gainnet.power_control.tasks import TASKS
from gainnet.power_control.training import gain_over_static_db
from gainnet.radio.power import PEAK, block_error, spend


def rayleigh(num: int, snr_db: float, importance: Tensor | None = None) -> Episodes:
    gains = RayleighGains()(num, 16, Random.of(9))
    weights = torch.ones(16) if importance is None else importance
    return Episodes(gains, torch.full((num,), 10 ** (snr_db / 10)), weights.expand(num, -1))


@pytest.mark.parametrize("random_seed", range(4))
def test_who_knows_the_future_does_as_a_solver(random_seed: int) -> None:
    random = Random.of(random_seed)
    gains = -torch.log1p(-random.uniform((8,), "gains")).double()
    weights, snr = random.uniform((8,), "weights").double() * 3, 10 ** (0.5 * random_seed)
    power = cvxpy.Variable(8)
    terms = [w * cvxpy.inv_pos(1 + power[t] * g * snr) for t, (w, g) in enumerate(zip(weights, gains, strict=True))]
    problem = cvxpy.Problem(cvxpy.Minimize(sum(terms)), [power >= 0, power <= 2.5, cvxpy.sum(power) <= 8])
    problem.solve(solver="CLARABEL")
    found = non_causal_powers(gains, torch.tensor(snr).double(), weights, 2.5)
    assert float(found.sum()) <= 8 + 1e-9
    assert float((weights * block_error(found, gains, torch.tensor(snr))).sum()) <= problem.value + 1e-6
    torch.testing.assert_close(found, torch.from_numpy(power.value), atol=2e-3, rtol=0.0)


@pytest.mark.slow
def test_dynamic_programming_finds_what_brute_force_finds() -> None:
    chain = Chain(torch.tensor([0.2, 1.5]).double(), torch.tensor([[0.7, 0.3], [0.4, 0.6]]).double())
    weights, snr, peak = torch.tensor([1.0, 2.0, 0.5]), 4.0, 2.0
    program = CausalOptimum.solve(chain, snr, weights, peak, per_block=128)
    grid = torch.linspace(0, 3, 241).tolist()

    def error(block: int, node: int, power: float) -> float:
        return float(weights[block]) / (1 + power * float(chain.nodes[node]) * snr)

    value: dict[tuple[int, int, int], float] = {(3, n, e): 0.0 for n in range(2) for e in range(241)}
    for block, node, energy in itertools.product((2, 1, 0), range(2), range(241)):
        p = chain.transition[node]
        value[block, node, energy] = min(
            error(block, node, grid[spent]) + sum(float(p[n]) * value[block + 1, n, energy - spent] for n in range(2))
            for spent in range(min(energy, 160) + 1)
        )
    stationary = torch.tensor([4 / 7, 3 / 7])
    brute = sum(float(stationary[n]) * value[0, n, 240] for n in range(2)) / 3
    assert program.mean_error == pytest.approx(brute, abs=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("snr_db", "causal", "ahead"),
    [(10, 0.26, 0.32), *(pytest.param(*x, marks=pytest.mark.slow) for x in ((0, 0.13, 0.16), (20, 1.13, 1.38)))],
)
def test_gains_are_those_computed_elsewhere(snr_db: float, causal: float, ahead: float) -> None:
    episodes = rayleigh(4000, snr_db)
    program = CausalOptimum.solve(Chain.rayleigh(), 10 ** (snr_db / 10), torch.ones(16), PEAK)
    assert gain_over_static_db(program, episodes, PEAK) == pytest.approx(causal, abs=0.03)
    powers = non_causal_powers(episodes.gains, episodes.snr, episodes.importance, PEAK)
    mean = float(block_error(powers, episodes.gains, episodes.snr[:, None]).mean())
    static = float(static_mean_error(torch.tensor(10.0 ** (snr_db / 10))))
    assert 10 * torch.tensor(static / mean).log10() == pytest.approx(ahead, abs=0.12)


POLICIES: list[PowerPolicy] = [
    Static(), Greedy(), TruncatedInversion(), FixedMultiplier(), MeanGain(), Replanned(), load_policy("ppo-equal-0"),
    CausalOptimum.solve(Chain.rayleigh(8), 10.0, torch.ones(16), PEAK, per_block=2),
]  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: type(policy).__name__)
@pytest.mark.parametrize("law", ["rayleigh", "varied"])
def test_nobody_spends_more_than_there_is(policy: PowerPolicy, law: str) -> None:
    gains = FADINGS[law](64, 16, Random.of(4))
    weights = torch.rand(64, 16, generator=torch.Generator().manual_seed(0))
    powers = spend(policy, gains, torch.full((64,), 10.0), weights, PEAK)
    assert float(powers.min()) >= 0
    assert float(powers.max()) <= PEAK
    assert float(powers.double().sum(-1).max()) <= 16 + 1e-5


def test_a_policy_sees_nothing_of_the_future() -> None:
    gains = FADINGS["jakes"](32, 16, Random.of(5))
    other = torch.cat([gains[:, :9], gains[:, 9:].flip(-1) + 1], -1)
    for policy in POLICIES:
        powers = [spend(policy, x, torch.full((32,), 10.0), torch.ones(32, 16), PEAK) for x in (gains, other)]
        assert bool((powers[0][:, :9] == powers[1][:, :9]).all())


@pytest.mark.slow
def test_planning_anew_at_the_gain_of_fades_is_near_the_optimum() -> None:
    episodes = rayleigh(2000, 20.0)
    program = CausalOptimum.solve(Chain.rayleigh(), 100.0, torch.ones(16), PEAK)
    best = gain_over_static_db(program, episodes, PEAK)
    assert 0.97 * best < gain_over_static_db(Replanned(), episodes, PEAK) <= best + 0.01
    assert gain_over_static_db(MeanGain(), episodes, PEAK) < 0.5 * best


@pytest.mark.parametrize("task", [pytest.param("unequal", marks=pytest.mark.slow), "jakes"])
@pytest.mark.slow
def test_gradients_through_the_environment_find_more_than_a_chain_of_first_order(task: str) -> None:
    """Jakes fading remembers more than one block, so dynamic programming on a chain is no optimum."""
    weights = torch.tensor(TASKS[task].environment().importance)
    gains, others = (FADINGS["jakes"](num, 16, Random.of(num)) for num in (2000, 4000))
    program = CausalOptimum.solve(Chain.fitted(others), 100.0, weights, PEAK, per_block=8)
    episodes = Episodes(gains, torch.full((2000,), 100.0), weights.expand(2000, -1))
    learned = gain_over_static_db(load_policy(f"pathwise-{task}-0"), episodes, PEAK)
    assert learned > gain_over_static_db(program, episodes, PEAK) + 0.05


@cache
def gain_of_the_optimum() -> float:
    program = CausalOptimum.solve(Chain.rayleigh(32), 10**1.5, torch.ones(16), PEAK, per_block=8)
    return gain_over_static_db(program, rayleigh(2000, 15.0), PEAK)


@pytest.mark.parametrize("training_seed", range(5))
def test_shipped_policies_reach_most_of_the_optimum(training_seed: int) -> None:
    episodes = rayleigh(2000, 15.0)
    learned = gain_over_static_db(load_policy(f"ppo-equal-{training_seed}"), episodes, PEAK)
    assert learned >= 0.9 * gain_of_the_optimum()
