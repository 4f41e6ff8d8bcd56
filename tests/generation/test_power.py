"""Power control in a generation: what fits, and one line for what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gainnet.catalog import GenerationConfig
from gainnet.catalog.opening import air_of, load, open_request
from gainnet.codecs import LinearCode
from gainnet.core.errors import ConfigError, ModelError
from gainnet.generation import Cell
from gainnet.network import profile
from gainnet.power_control import Learned, Replanned
from gainnet.radio import Analog, Digital, Powered

PROMPT = ("a red star",)


def links(**options: object) -> tuple[object, ...]:
    config = GenerationConfig(PROMPT, **options)  # type: ignore[arg-type]
    cell = air_of(config)
    assert isinstance(cell, Cell)
    return cell.links(profile("edge_a100"), profile("phone"))


@pytest.mark.parametrize(("name", "kind"), [("ppo", Learned), ("replanned", Replanned), ("sac", Learned)])
def test_symbols_are_sent_at_the_power_of_the_policy_and_bits_are_not(name: str, kind: type) -> None:
    digital, analog = links(fading="rayleigh", power=name)
    assert isinstance(analog, Analog)
    assert isinstance(analog.air.fading, Powered)
    assert isinstance(analog.air.fading.policy, kind)
    assert isinstance(digital, Digital)
    assert not isinstance(digital.air.fading, Powered)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"power": "telepathy", "fading": "rayleigh"}, "power: 'telepathy' is unknown; choose one of"),
        ({"power": "ppo"}, "power: AWGN does not tell gains block by block"),
        ({"power": "ppo", "fading": "ideal"}, "power: an ideal link has no fading"),
        ({"power": "ppo", "fading": "rayleigh", "report_delay": 2}, "power: it follows the true gain"),
    ],
)
def test_a_misfit_is_one_line(options: dict[str, object], line: str) -> None:
    with pytest.raises((ConfigError, ModelError), match=line):
        links(**options)


def test_a_code_of_bits_has_no_power_to_control() -> None:
    config = GenerationConfig(PROMPT, fading="rayleigh", power="replanned", codec={"seed": "digital"})
    with pytest.raises(ConfigError, match="power: it needs symbols, and seed=digital sends bits"):
        open_request(config, load()).make_plan()


def test_air_and_codec_that_do_not_fit_a_policy_are_named_at_once() -> None:
    model, asked = load(), GenerationConfig(PROMPT, power="replanned", codec={"seed": "digital"})
    with pytest.raises(ConfigError, match=r"rayleigh.*; and it needs .*; choose seed=raw or seed=linear, or"):
        open_request(asked, model).make_plan()
    fitting = open_request(replace(asked, fading="rayleigh", codec={"seed": "linear"}), model).make_plan()
    assert isinstance(fitting.codecs["seed"], LinearCode)
