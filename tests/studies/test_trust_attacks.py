"""Attacks on updates and sums: without a safeguard they read nearly everything, or they would measure nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from gainnet.core.randomness import Random
from gainnet.studies.presets import load_config
from gainnet.studies.study import Case
from gainnet.studies.trust import TRUST
from gainnet.studies.trust.attacks import accounting, attacked
from gainnet.studies.trust.config import SAFEGUARDS, TrustConfig

SLOW = {"gradient_inversion", "membership"}


@cache
def config() -> TrustConfig:
    found: TrustConfig = load_config(TRUST, "default")
    return replace(found, attacks=replace(found.attacks, num_victims=2, num_forgeries=10, num_sums=20))


@cache
def recovered(attack: str, safeguard: str) -> float:
    share = attacked(config(), Case("attacks", {"attack": attack, "rule": safeguard}, 0), Random.of(0))["recovered"]
    assert isinstance(share, float)
    return share


EVERY = [pytest.param(x, marks=pytest.mark.slow if x in SLOW else ()) for x in SAFEGUARDS]


@pytest.mark.parametrize("attack", EVERY)
def test_an_attack_reads_nearly_everything_that_is_not_protected(attack: str) -> None:
    assert recovered(attack, "none") >= 0.9 > recovered(attack, "guess")


@pytest.mark.parametrize("attack", [x for x in SAFEGUARDS if x not in SLOW])
def test_a_safeguard_leaves_no_more_than_a_guess(attack: str) -> None:
    for safeguard in SAFEGUARDS[attack]:
        assert recovered(attack, safeguard) <= recovered(attack, "guess") + 0.05


@pytest.mark.slow
@pytest.mark.parametrize("safeguard", SAFEGUARDS["gradient_inversion"])
def test_what_is_left_of_a_row_is_what_the_model_expects_anyhow(safeguard: str) -> None:
    assert recovered("gradient_inversion", safeguard) <= recovered("gradient_inversion", "guess") + 0.15


@pytest.mark.slow
def test_noise_hides_members_and_epsilon_eight_not_wholly() -> None:
    assert recovered("membership", "private_clients") < 0.75
    assert recovered("membership", "private_rows") < recovered("membership", "none")


@pytest.mark.slow
def test_epsilon_is_that_of_opacus() -> None:
    found = accounting(config(), Case("accounting", {}, 0), Random.of(0))
    assert all(0.999 <= float(ratio) <= 1.01 for ratio in found.values())  # type: ignore[arg-type]
