"""Study seed-coding: seeds by learned, linear and digital codes against pictures, bounds and published numbers."""

from __future__ import annotations

from collections.abc import Mapping

from gainnet.studies.presets import CATALOG
from gainnet.studies.seed_coding.drawing import draw
from gainnet.studies.seed_coding.question import METHODS, QUESTION, SeedCodingConfig, cases
from gainnet.studies.seed_coding.summary import metric_names, summarise
from gainnet.studies.study import Method, Study


def open_methods(config: SeedCodingConfig) -> Mapping[str, Method]:
    """The methods, with everything they need loaded."""
    from gainnet.studies.seed_coding.material import gather
    from gainnet.studies.seed_coding.methods import methods

    return methods(gather(config))


def identity(config: SeedCodingConfig) -> Mapping[str, str]:
    """sha256 of the model, of its seed basis, of the classifier, and of the learned codes that are asked for."""
    from gainnet.studies.seed_coding.material import digests

    return digests(config)


SEED_CODING = Study(
    name="seed-coding",
    question=QUESTION,
    catalog=CATALOG,
    config=SeedCodingConfig,
    methods=METHODS,
    metric_names=metric_names(),
    cases=cases,
    open=open_methods,
    identity=identity,
    summarise=summarise,
    draw=draw,
)
