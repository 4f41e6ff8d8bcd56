"""Study gairom-learning: real federated training on the workloads that policies of orchestration achieve."""

from __future__ import annotations

from collections.abc import Mapping

from gainnet.studies.gairom_learning.drawing import draw
from gainnet.studies.gairom_learning.question import METHODS, QUESTION, LearningConfig, cases
from gainnet.studies.gairom_learning.summary import METRIC_NAMES, summarise
from gainnet.studies.presets import CATALOG
from gainnet.studies.study import Method, Study

__all__ = ["GAIROM_LEARNING", "LearningConfig", "identity", "open_methods"]


def open_methods(config: LearningConfig) -> Mapping[str, Method]:
    """The methods, with digits and learned policies loaded."""
    from gainnet.studies.gairom.learned import load_all
    from gainnet.studies.gairom_learning.methods import methods

    return methods(config, load_all(config.regimes, config.training_seeds))


def identity(config: LearningConfig) -> Mapping[str, str]:
    """Digests of the learned policies and of the scenarios."""
    from gainnet.studies.gairom.learned import digests

    return digests(config.regimes, config.training_seeds)


GAIROM_LEARNING = Study(
    name="gairom-learning",
    question=QUESTION,
    catalog=CATALOG,
    config=LearningConfig,
    methods=METHODS,
    metric_names=METRIC_NAMES,
    cases=cases,
    open=open_methods,
    identity=identity,
    summarise=summarise,
    draw=draw,
)
