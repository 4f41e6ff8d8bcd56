"""Study gairom-learning: real federated training on the workloads that policies of orchestration achieve."""

from __future__ import annotations

from gainnet.studies.gairom.arena import digests, load_all
from gainnet.studies.gairom_learning.drawing import draw
from gainnet.studies.gairom_learning.question import METHODS, LearningConfig, cases
from gainnet.studies.gairom_learning.summary import METRIC_NAMES, summarise
from gainnet.studies.gairom_learning.training import methods
from gainnet.studies.study import Study

GAIROM_LEARNING = Study(
    name="gairom-learning",
    config=LearningConfig,
    methods=METHODS,
    metric_names=METRIC_NAMES,
    cases=cases,
    open=lambda config: methods(config, load_all(config.regimes, config.training_seeds)),
    identity=lambda config: digests(config.regimes, config.training_seeds),
    summarise=summarise,
    draw=draw,
)
