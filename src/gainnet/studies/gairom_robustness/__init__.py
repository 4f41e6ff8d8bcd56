"""Study gairom-robustness: orchestration with less time, bandwidth or computing than a policy was trained with."""

from __future__ import annotations

from collections.abc import Mapping

from gainnet.studies.gairom_robustness.drawing import draw
from gainnet.studies.gairom_robustness.question import METHODS, QUESTION, RobustnessConfig, cases
from gainnet.studies.gairom_robustness.summary import metric_names, summarise
from gainnet.studies.presets import CATALOG
from gainnet.studies.study import Method, Study

__all__ = ["GAIROM_ROBUSTNESS", "RobustnessConfig", "identity", "open_methods"]


def open_methods(config: RobustnessConfig) -> Mapping[str, Method]:
    """The methods, with the learned policies loaded."""
    from gainnet.studies.gairom.learned import load_all
    from gainnet.studies.gairom_robustness.methods import methods

    return methods(load_all(["independent"], config.training_seeds))


def identity(config: RobustnessConfig) -> Mapping[str, str]:
    """Digests of the learned policies and of the scenarios."""
    from gainnet.studies.gairom.learned import digests

    return digests(["independent"], config.training_seeds, config.scenarios)


GAIROM_ROBUSTNESS = Study(
    name="gairom-robustness",
    question=QUESTION,
    catalog=CATALOG,
    config=RobustnessConfig,
    methods=METHODS,
    metric_names=metric_names(),
    cases=cases,
    open=open_methods,
    identity=identity,
    summarise=summarise,
    draw=draw,
)
