"""The methods of gairom-learning: a policy plays a world, then models are trained on what it achieved."""

from __future__ import annotations

from collections.abc import Mapping

from gainnet.core.randomness import Random
from gainnet.orchestration import Policy
from gainnet.studies.gairom.arena import arena, scenario_of_regime, untrained
from gainnet.studies.gairom.learned import Learned
from gainnet.studies.gairom.question import LEARNED, UNTRAINED
from gainnet.studies.gairom_learning.digits import load_digits
from gainnet.studies.gairom_learning.question import LearningConfig
from gainnet.studies.gairom_learning.training import Recipe, trained_accuracy
from gainnet.studies.study import Case, Method, Row


def methods(config: LearningConfig, learned: Learned) -> Mapping[str, Method]:
    """Every method by name."""
    num_domains = max(scenario_of_regime(regime).num_domains for regime in config.regimes)
    train, test = load_digits(num_domains)
    recipe = Recipe(config.width, config.batch_size, config.learning_rate)

    def taught(case: Case, policy: Policy, random: Random) -> Row:
        regime = str(case.values["regime"])
        here = arena(scenario_of_regime(regime), regime, case.random_seed)
        rollout, _ = here.play(policy)
        accuracies = trained_accuracy(here.world, rollout, train, test, recipe, random.child("learning"))
        return {
            "gain": float(rollout.gain.sum()),
            "accuracy": float(accuracies.mean()),
            **{f"accuracy_of_model_{m + 1}": float(x) for m, x in enumerate(accuracies)},
            "num_samples_trained": float(rollout.trained.sum()),
        }

    def without_weights(case: Case, random: Random) -> Row:
        scenario = scenario_of_regime(str(case.values["regime"]))
        return taught(case, untrained(scenario, [case.method])[case.method], random)

    def with_weights(case: Case, random: Random) -> Row:
        return taught(case, learned.of(str(case.values["regime"]), case.values["training_seed"]), random)

    return {**dict.fromkeys(UNTRAINED, without_weights), LEARNED: with_weights}
