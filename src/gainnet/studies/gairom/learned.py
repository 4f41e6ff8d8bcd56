"""The learned policies that studies of orchestration play: loaded once, identified by how they were trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

from gainnet.core.errors import ConfigError
from gainnet.orchestration import Policy, load_scenario
from gainnet.orchestration.learned import load_policy, trained_config
from gainnet.studies.gairom.question import SCENARIO_OF_REGIME
from gainnet.studies.results import config_hash
from gainnet.studies.study import Value


@final
@dataclass(frozen=True)
class Learned:
    """Policies that were trained.

    Args:
        policies: by regime and training seed.
    """

    policies: Mapping[tuple[str, int], Policy]

    def of(self, regime: str, training_seed: Value) -> Policy:
        """The policy of a case.

        Raises:
            ConfigError: none was trained with that random seed.
        """
        try:
            return self.policies[regime, int(str(training_seed))]
        except KeyError:
            raise ConfigError(f"training_seeds: no policy of {regime} was trained with {training_seed}") from None


def load_all(regimes: Iterable[str], training_seeds: Iterable[int]) -> Learned:
    """The shipped policies by regime and training seed."""
    seeds = tuple(training_seeds)
    return Learned({(regime, seed): load_policy(f"{regime}-{seed}") for regime in regimes for seed in seeds})


def digests(regimes: Iterable[str], training_seeds: Iterable[int], scenarios: Iterable[str] = ()) -> Mapping[str, str]:
    """What identifies the policies and the scenarios that they play in; other weights make another run.

    Args:
        regimes: whose policies and scenarios are used.
        training_seeds: of the policies.
        scenarios: further scenarios.
    """
    seeds, known = tuple(training_seeds), tuple(regimes)
    names = dict.fromkeys((*(SCENARIO_OF_REGIME[regime] for regime in known), *scenarios))
    found = {f"scenario.{name}": config_hash(load_scenario(name).model_dump(mode="json")) for name in names}
    policies = [f"{regime}-{seed}" for regime in known for seed in seeds]
    return found | {f"policy.{name}": config_hash(dict(trained_config(name))) for name in policies}
