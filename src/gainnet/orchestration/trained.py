"""The gain of what is trained: samples count when a later round has consumed them, added up over a model's clients."""

from __future__ import annotations

import torch
from torch import Tensor

from gainnet.orchestration.regime import Contention, Regime
from gainnet.orchestration.rollout import Rollout
from gainnet.orchestration.scenario import Scenario
from gainnet.orchestration.world import World


def pooled(scenario: Scenario, regime: Regime) -> Contention:
    """The regime with the same spectrum, in which samples of all clients of a model add up before they saturate.

    Args:
        scenario: weights of its models.
        regime: whether clients share spectrum; where they do, it is that regime already.

    >>> from gainnet.orchestration import Independent, load_scenario
    >>> street = load_scenario("street")
    >>> pooled(street, Independent.of(street)).edge_bandwidth_hz
    tensor([inf, inf, inf, inf], dtype=torch.float64)
    """
    if isinstance(regime, Contention):
        return regime
    weight = torch.tensor([model.weight for model in scenario.models], dtype=torch.float64)
    # Edges without a limit: everybody's own radio stays the narrower one.
    return Contention(regime.function, torch.full_like(weight, torch.inf), weight)


def trained_gain(world: World, regime: Regime, rollout: Rollout) -> Tensor:
    r"""[*batch, num_rounds], gain of each round on the samples that the next CR really consumed.

    $\sum_m w_m f(\sum_{n: m_n = m} \omega_{nm} \tilde x_n / x_0)$ with $\tilde x_n \le x_n$ of those sensed. What is
    sensed and cannot be trained, because reception decreased or the edge is crowded, counts nothing; and a model
    saturates in the samples of all its clients, as its training does.

    Args:
        world: where it was played.
        regime: whether clients shared spectrum.
        rollout: what was decided, and its outcome.

    >>> from gainnet.core.randomness import Random
    >>> from gainnet.orchestration import Greedy, Independent, draw_world, load_scenario, play
    >>> street, random = load_scenario("street"), Random.of(1)
    >>> world, regime = draw_world(street, random), Independent.of(street)
    >>> trained_gain(world, regime, play(world, regime, Greedy(), random)).shape
    torch.Size([5])
    """
    together = pooled(world.scenario, regime)
    gains = []
    for cr in range(rollout.model.shape[-2]):
        model = rollout.model[..., cr, :]
        worth = world.offers[cr].correlation.gather(-1, model.unsqueeze(-1)).squeeze(-1)
        gains.append(together.total(worth, rollout.trained[..., cr, :], model))
    return torch.stack(gains, -1)
