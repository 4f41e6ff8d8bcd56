"""Study gairom: every policy of orchestration against the best there is."""

from __future__ import annotations

from collections.abc import Mapping

from gainnet.studies.gairom.drawing import draw
from gainnet.studies.gairom.question import METHODS, QUESTION, GairomConfig, cases
from gainnet.studies.gairom.summary import metric_names, summarise
from gainnet.studies.presets import CATALOG
from gainnet.studies.study import Method, Study

__all__ = ["GAIROM", "GairomConfig", "identity", "open_methods"]


def open_methods(config: GairomConfig) -> Mapping[str, Method]:
    """The methods, with the learned policies loaded."""
    from gainnet.studies.gairom.learned import load_all
    from gainnet.studies.gairom.methods import methods

    return methods(config, load_all(config.regimes, config.training_seeds))


def identity(config: GairomConfig) -> Mapping[str, str]:
    """sha256 of the learned policies and digests of the scenarios."""
    from gainnet.studies.gairom.learned import digests

    return digests(config.regimes, config.training_seeds)


GAIROM = Study(
    name="gairom",
    question=QUESTION,
    catalog=CATALOG,
    config=GairomConfig,
    methods=METHODS,
    metric_names=metric_names(),
    cases=cases,
    open=open_methods,
    identity=identity,
    summarise=summarise,
    draw=draw,
)
