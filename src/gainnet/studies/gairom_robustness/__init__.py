"""Study gairom-robustness: orchestration with less time, bandwidth or computing than a policy was trained with."""

from __future__ import annotations

from gainnet.studies.gairom.arena import digests, load_all
from gainnet.studies.gairom_robustness.drawing import draw
from gainnet.studies.gairom_robustness.methods import methods
from gainnet.studies.gairom_robustness.question import METHODS, RobustnessConfig, cases
from gainnet.studies.gairom_robustness.summary import metric_names, summarise
from gainnet.studies.study import Study

GAIROM_ROBUSTNESS = Study(
    name="gairom-robustness",
    config=RobustnessConfig,
    methods=METHODS,
    metric_names=metric_names(),
    cases=cases,
    open=lambda config: methods(load_all(["independent"], config.training_seeds)),
    identity=lambda config: digests(["independent"], config.training_seeds, config.scenarios),
    summarise=summarise,
    draw=draw,
)
