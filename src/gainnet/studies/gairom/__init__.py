"""Study gairom: every policy of orchestration against the best there is."""

from __future__ import annotations

from gainnet.studies.gairom.arena import digests, load_all
from gainnet.studies.gairom.drawing import draw
from gainnet.studies.gairom.methods import methods
from gainnet.studies.gairom.question import METHODS, GairomConfig, cases
from gainnet.studies.gairom.summary import metric_names, summarise
from gainnet.studies.study import Study

GAIROM = Study(
    name="gairom",
    config=GairomConfig,
    methods=METHODS,
    metric_names=metric_names(),
    cases=cases,
    open=lambda config: methods(config, load_all(config.regimes, config.training_seeds)),
    identity=lambda config: digests(config.regimes, config.training_seeds),
    summarise=summarise,
    draw=draw,
)
