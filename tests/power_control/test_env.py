"""The environment of power control: closed form, budget, Gymnasium."""

from __future__ import annotations

import warnings

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.power_control.env import Environment, static_errors
from gainnet.power_control.fading import FADINGS, RayleighGains, TraceGains
from gainnet.power_control.quality import LatentReward, PictureReward, static_mean_error
from gainnet.radio import SnrTrace

ENV = Environment(RayleighGains(), LatentReward(), importance=(2.0, 1.0, 0.5, 0.5), snr_db=(10.0, 10.0))


def test_rewards_are_the_closed_form() -> None:
    start = moment = ENV.reset(100, Random.of(3))
    total = torch.zeros(100)
    powers = torch.tensor([2.0, 0.5, 1.0, 9.0])
    for power in powers:
        moment, reward = ENV.step(moment, power.expand(100))
        total += reward
    spent = torch.tensor([2.0, 0.5, 1.0, 0.5])  # the last one is what is left
    drawn = start.episodes
    errors = drawn.importance / (1 + spent * drawn.gains * 10)
    static = drawn.importance / (1 + drawn.gains * 10)
    torch.testing.assert_close(total, (static - errors).sum(-1) / static_mean_error(torch.tensor(10.0)))
    assert moment.over
    assert bool((moment.energy == 0).all())


def test_rewards_of_a_picture_add_up_to_its_gain_in_decibels() -> None:
    weights = (9.0, *(7 / 15,) * 15)
    env = Environment(RayleighGains(), PictureReward(0.1, weights), weights, snr_db=(5.0, 5.0))
    moment, total = env.reset(10, Random.of(0)), torch.zeros(10)
    while not moment.over:
        moment, reward = env.step(moment, torch.full((10,), 0.5 + moment.block / 15))
        total += reward
    expected = 10 * ((0.1 + static_errors(moment.episodes).sum(-1)) / (0.1 + moment.errors.sum(-1))).log10()
    torch.testing.assert_close(total, expected)


def test_a_trace_is_read_row_by_row() -> None:
    gains = TraceGains(SnrTrace((0.0, 10.0, 20.0)))(50, 4, Random.of(1))
    rows = torch.tensor([1.0, 10.0, 100.0]) / 37.0
    assert bool(((gains.unsqueeze(-1) - rows).abs().amin(-1) < 1e-4).all())
    torch.testing.assert_close(gains[:, 0], gains[:, 3])


@pytest.mark.parametrize("law", sorted(FADINGS))
def test_laws_are_drawn_from_their_stream_alone(law: str) -> None:
    one, same, other = (FADINGS[law](64, 16, Random.of(seed)) for seed in (1, 1, 2))
    assert bool((one == same).all())
    assert not bool((one == other).any())
    assert one.shape == (64, 16)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"importance": ()}, "importance: give a weight"),
        ({"snr_db": (5.0, 1.0)}, "snr_db: "),
        ({"peak": 0.5}, "peak: 0.5 is out of range"),
    ],
)
def test_what_makes_no_sense_is_one_line(changes: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        Environment(RayleighGains(), LatentReward(), **changes)  # type: ignore[arg-type]


def test_gymnasium_finds_nothing_wrong() -> None:
    from gymnasium.utils.env_checker import check_env

    from gainnet.power_control.gymnasium_env import power_env

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_env(power_env(ENV), skip_render_check=True)
