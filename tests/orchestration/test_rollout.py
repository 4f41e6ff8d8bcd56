"""A round is credited with what was achievable when it was decided; what falls away later is reported."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gainnet.core.randomness import Random
from gainnet.orchestration.association import Greedy
from gainnet.orchestration.regime import Independent
from gainnet.orchestration.rollout import play
from gainnet.orchestration.scenario import Scenario, load_scenario, scenario_of
from gainnet.orchestration.world import draw_world

RANDOM = Random.of([1, 2, 3])


def changed(name: str, **sections: dict[str, Any]) -> Scenario:
    fields = load_scenario(name).model_dump()
    return scenario_of(fields | {section: fields[section] | numbers for section, numbers in sections.items()})


def test_the_gain_is_that_of_what_was_sensed() -> None:
    street = load_scenario("street")
    world, regime = draw_world(street, RANDOM), Independent.of(street)
    played = play(world, regime, Greedy(), RANDOM)
    for cr in range(street.rounds.num_rounds):
        model = played.model[:, cr].unsqueeze(-1)
        worth = world.offers[cr].correlation.gather(-1, model).squeeze(-1)
        torch.testing.assert_close(played.gain[:, cr], (worth * regime.function(played.sensed[:, cr])).sum(-1))
    assert bool((played.consumed_share < 1).all())
    torch.testing.assert_close(played.consumed_share, played.trained.sum((-1, -2)) / played.sensed.sum((-1, -2)))


def test_where_nothing_moves_everything_sensed_is_consumed() -> None:
    """Without motion and with as good as no fading, the next CR is as good as this one."""
    still = changed(
        "square", radio={"fading_blocks": 100_000}, mobility={"least_speed_m_per_s": 1e-9, "most_speed_m_per_s": 1e-9}
    )
    world = draw_world(still, RANDOM)
    assert float(play(world, Independent.of(still), Greedy(), RANDOM).consumed_share.min()) > 0.995


@pytest.mark.parametrize("ceiling", ["steady", "consumable"])
def test_only_the_steady_ceiling_spares_the_next_round(ceiling: str) -> None:
    """In a still world that repeats itself, a steady client senses the same in every round; a greedy one starves."""
    still = changed(
        "coupled",
        rounds={"ceiling": ceiling},
        radio={"fading_blocks": 100_000},
        mobility={"least_speed_m_per_s": 1e-9, "most_speed_m_per_s": 1e-9},
    )
    world = draw_world(still, RANDOM)
    gain = play(world, Independent.of(still), Greedy(), RANDOM).gain
    later = float(gain[:, 1].sum() / gain[:, 0].sum())
    if ceiling == "steady":
        assert later > 0.99
    else:
        assert later < 0.9
