"""Question and sweep: four ways to a conclusion, on fields that the cloud has never seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, final

from pydantic import Field

from gainnet.studies.settings import AirField, Count, NonEmpty, Positive, Seeds
from gainnet.studies.study import Case

METHODS = ("cloud", "part", "full", "edge_alone")
ROUGES = ("rouge1", "rouge2", "rougel")
OTHER_SCORES = ("bertscore", "hidden_score", "bleurt")
LABELS = ("form", "result", "effect", "remarks")
"""Parts of a template."""
DIFFERENCES = (("part", "cloud"), ("full", "cloud"), ("full", "part"), ("full", "edge_alone"))
METRIC_NAMES = (
    *(f"{score}.{arm}{end}" for score in ROUGES for arm in METHODS for end in ("", ".low", ".high", ".std_over_seeds")),
    *(f"{score}.{a}_minus_{b}{end}" for score in ROUGES for a, b in DIFFERENCES for end in ("", ".low", ".high")),
    *(f"tokens.{arm}" for arm in METHODS[:-1]),
    *(f"{score}.{arm}" for score in OTHER_SCORES for arm in METHODS),
    "template_right",
    *(f"label_right.{label}" for label in LABELS),
)
NOT_PUBMED = (
    "abstracts of a folder of the user's: not comparable with published PubMed 20k RCT numbers unless it is that very "
    "data set with its own split"
)
"""Warning beside all numbers on real abstracts."""
FOLDER_FIELDS = ("cardiology", "endocrinology", "oncology", "psychiatry")


@final
@dataclass(frozen=True)
class SummariesConfig:
    """Settings of the study medical-summaries.

    Args:
        random_seeds: each draws fields, texts, clients, mini-batches and noise of its own.
        methods: cloud (alone), part (labels of the edge-end model), full (labels and text), edge_alone.
        num_fields: invented fields per random seed; of a folder's four fields, the first so many.
        num_texts: abstracts per invented field that its devices hold.
        num_test_texts: abstracts per field to conclude, at most.
        algorithm: how the edge-end model learns on its clients: lora, adapter, soft_prompt, fsl or fsl_averaged.
        rank: of LoRA, or virtual tokens.
        clients: devices of a field.
        rounds: of learning after which the arms write, ascending; metrics are those after the last.
        num_steps: mini-batches per client and round.
        batch_size: abstracts per mini-batch.
        rate: learning rate of the devices.
        air: of the links of the cell.
        models: `summaries` (shipped), or a folder that `gainnet train summaries` wrote.
        data: a folder in PubMed-RCT format in the place of invented fields, else "".
        max_document_words: of a folder's documents; sentences of the background go first.
        max_conclusion_words: longer ones of a folder are not learned from.
        folder_edge_steps: mini-batches of the edge-end model on a folder's other abstracts, before it meets its field.
        folder_cloud_steps: mini-batches of the cloud on a folder's other abstracts.
        cloud_url: an endpoint that speaks chat/completions, up to `/v1`, in the place of the local cloud, else "".
        cloud_model: how that endpoint calls its model.
        encoder: folder of an encoder for BERTScore, else "".
        bleurt: folder of BLEURT, else "".
    """

    random_seeds: Seeds
    methods: NonEmpty[str]
    num_fields: Annotated[int, Field(ge=1, le=100)]
    num_texts: Annotated[int, Field(ge=10)]
    num_test_texts: Count
    algorithm: str
    rank: Count
    clients: Count
    rounds: NonEmpty[Count]
    num_steps: Count
    batch_size: Count
    rate: Positive
    air: AirField
    models: str
    data: str
    max_document_words: Annotated[int, Field(ge=20)]
    max_conclusion_words: Annotated[int, Field(ge=10)]
    folder_edge_steps: Count
    folder_cloud_steps: Count
    cloud_url: str
    cloud_model: str
    encoder: str
    bleurt: str

    def __post_init__(self) -> None:
        for method in self.methods:
            if method not in METHODS:
                raise ValueError(f"methods: {method!r} is unknown; choose among {', '.join(METHODS)}")
        if list(self.rounds) != sorted(set(self.rounds)):
            raise ValueError(f"rounds: {self.rounds} do not ascend; give for example 4, 8, 16")
        if self.cloud_model and not self.cloud_url:
            raise ValueError("cloud_model: it names a model of an endpoint; give cloud_url, too")
        if self.data and not Path(self.data).is_dir():
            raise ValueError(f"data: {self.data} must be a folder with files in PubMed-RCT format")


def cases(config: SummariesConfig) -> Iterator[Case]:
    """Every arm on every field after every number of rounds with every random seed; the cloud alone once."""
    sweep = product(config.random_seeds, fields_of(config), config.rounds, config.methods)
    for random_seed, field, rounds, method in sweep:
        if method != "cloud" or rounds == config.rounds[-1]:
            yield Case(method, {"field": field, "rounds": rounds}, random_seed)


def fields_of(config: SummariesConfig) -> tuple[str, ...]:
    """Names of the fields, those of a folder or invented ones."""
    if config.data:
        return FOLDER_FIELDS[: config.num_fields]
    return tuple(f"field_{index}" for index in range(config.num_fields))


def warnings(config: SummariesConfig) -> tuple[str, ...]:
    """Warnings to show beside the numbers."""
    return (NOT_PUBMED,) if config.data else ()
