"""Study seed-coding: seeds by learned, linear and digital codes against pictures, bounds and published numbers."""

from __future__ import annotations

from gainnet.studies.seed_coding.drawing import draw
from gainnet.studies.seed_coding.material import digests, gather
from gainnet.studies.seed_coding.methods import methods
from gainnet.studies.seed_coding.question import METHODS, SeedCodingConfig, cases
from gainnet.studies.seed_coding.summary import metric_names, summarise
from gainnet.studies.study import Study

SEED_CODING = Study(
    name="seed-coding",
    config=SeedCodingConfig,
    methods=METHODS,
    metric_names=metric_names(),
    cases=cases,
    open=lambda config: methods(gather(config)),
    identity=digests,
    summarise=summarise,
    draw=draw,
)
