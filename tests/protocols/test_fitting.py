"""Budgets that nothing fits are refused with the number that is enough."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch

from gainnet.catalog import GenerationConfig
from gainnet.catalog.opening import open_request
from gainnet.codecs import JPEG, QuantizedSketch, WebP
from gainnet.codecs.rate_matched import RateMatched
from gainnet.core.errors import ConfigError
from gainnet.core.types import Spec
from gainnet.models.loading import load_model
from gainnet.protocols.fitting import check_fits

SMALL = Spec((3, 16, 16))


def capacity_bits(num_channel_uses: int) -> float:
    return 1.5 * num_channel_uses


def budget_of(num_channel_uses: int) -> Callable[[float], float]:
    return lambda snr: capacity_bits(num_channel_uses)


def matched(kind: type, num_channel_uses: int) -> RateMatched:
    return RateMatched(lambda bits: kind(max_bits=bits), budget_of(num_channel_uses), (1.0,))


@pytest.mark.parametrize("kind", [QuantizedSketch, WebP, JPEG])
def test_the_number_that_is_given_is_enough_and_one_less_is_not(kind: type) -> None:
    with pytest.raises(ConfigError, match=r"^num_channel_uses: .* it, whose shortest stream has \d+ bits") as caught:
        check_fits("it", matched(kind, 6), SMALL, 2, 1.0, budget_of)
    num_bits, least = (int(x) for x in re.findall(r"(\d+) (?:bits|or more)", str(caught.value)))
    assert capacity_bits(least - 1) < num_bits <= capacity_bits(least)
    check_fits("it", matched(kind, least), SMALL, 2, 1.0, budget_of)
    with pytest.raises(ConfigError, match=f"give {least} or more"):
        check_fits("it", matched(kind, least - 1), SMALL, 2, 1.0, budget_of)
    grey = torch.full((1, *SMALL.shape), 0.5)
    lengths = [8 * len(s or b"") for s in matched(kind, least).encode(grey, torch.ones(1)).strings]
    assert lengths == [num_bits]


@pytest.mark.slow
def test_the_command_names_option_and_codec() -> None:
    model = load_model("scenes")
    for name in ("transform_prompt", "digital"):
        config = GenerationConfig(("a red star",), codec={"seed": name}, num_channel_uses=8)
        with pytest.raises(ConfigError, match=rf"^num_channel_uses: .* seed={name}, .*; give \d+ or more"):
            open_request(config, model).make_plan()


def test_air_that_carries_nothing_is_not_asked_for_more_uses() -> None:
    with pytest.raises(ConfigError, match=r"no number of them carries it, .* raise snr_db"):
        check_fits("it", matched(WebP, 6), SMALL, 2, 1.0, lambda uses: lambda snr: 1e-9 * uses)


def test_f8_no_budget_is_rehearsed_beyond_what_is_enough() -> None:
    """A budget of many uses is sent codeword by codeword, which takes minutes where fading is correlated."""
    asked = list[int]()

    def recorded(num_channel_uses: int) -> Callable[[float], float]:
        asked.append(num_channel_uses)
        return budget_of(num_channel_uses)

    with pytest.raises(ConfigError, match=r"give (\d+) or more") as caught:
        check_fits("it", matched(WebP, 6), SMALL, 2, 1.0, recorded)
    (least,) = (int(x) for x in re.findall(r"give (\d+)", str(caught.value)))
    assert max(asked) < 2 * least
