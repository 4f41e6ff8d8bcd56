"""Study seed-coding: seeds by learned, linear and digital codes against pictures, bounds and published numbers."""

from __future__ import annotations

from collections.abc import Mapping

from gainnet.studies.seed_coding.drawing import draw
from gainnet.studies.seed_coding.material import digests, gather
from gainnet.studies.seed_coding.methods import methods
from gainnet.studies.seed_coding.question import METHODS, SeedCodingConfig, cases
from gainnet.studies.seed_coding.summary import metric_names, summarise
from gainnet.studies.study import Method, Study


def open_methods(config: SeedCodingConfig) -> Mapping[str, Method]:
    """The methods, with everything that they need loaded once."""
    return methods(gather(config))


SEED_CODING = Study(
    "seed-coding", SeedCodingConfig, METHODS, metric_names(), cases, open_methods, digests, summarise, draw
)
