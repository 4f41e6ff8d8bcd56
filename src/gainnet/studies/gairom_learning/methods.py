"""The methods of gairom-learning: a policy plays a world, then models are trained on what it achieves."""

from __future__ import annotations

from collections.abc import Mapping

from gainnet.core.randomness import Random
from gainnet.studies.gairom.arena import Learned, arena, scenario_of_regime
from gainnet.studies.gairom_learning.digits import load_digits
from gainnet.studies.gairom_learning.loop import loop_methods
from gainnet.studies.gairom_learning.question import LOOP, METHODS, LearningConfig
from gainnet.studies.gairom_learning.training import trained_accuracy
from gainnet.studies.own import Guarded, own
from gainnet.studies.study import Case, Method, Row


def methods(config: LearningConfig, learned: Learned) -> Mapping[str, Method]:
    """Every method by name."""
    num_domains = max(scenario_of_regime(regime).num_domains for regime in config.regimes)
    train, test = load_digits(num_domains)

    closed = loop_methods(config, learned, train, test)

    def learn(case: Case, random: Random) -> Row:
        regime = case.text("regime")
        if regime == LOOP:
            return closed[case.method](case, random)
        here = arena(scenario_of_regime(regime), regime, case.random_seed)
        rollout, _ = here.play(learned.player(case, here.world.scenario, regime))
        accuracies = trained_accuracy(here.world, rollout, train, test, config, random.child("learning"))
        return {
            "gain": float(rollout.gain.sum()),
            "accuracy": float(accuracies.mean()),
            **{f"accuracy_of_model_{m + 1}": float(x) for m, x in enumerate(accuracies)},
            "num_samples_trained": float(rollout.trained.sum()),
        }

    users: dict[str, Method] = {name: Guarded(name, learn) for name in own(config.policies, METHODS)}
    return {**dict.fromkeys(METHODS, learn), **users}
