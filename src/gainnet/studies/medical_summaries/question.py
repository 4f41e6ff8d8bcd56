"""Question and sweep: ways to a conclusion, on invented fields that no cloud has seen and on real abstracts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any, final

from pydantic import Field

from gainnet.studies.settings import AirField, Count, NonEmpty, Positive, Seeds
from gainnet.studies.study import Case

METHODS = ("cloud", "part", "full", "edge_alone")
"""Arms on invented fields by what an edge-end model says."""
WITH_EXAMPLES = ("few_shot", "reader")
"""Arms on invented fields that see three trials of theirs: a cloud that learned to, and a reader of their grammar."""
INVENTED = (*METHODS, *WITH_EXAMPLES)
UNTRAINED = ("objective", "lead", "nearest", "oracle", "cloud_untrained")
"""The sentence of the objective; the first one; the conclusion of the nearest training abstract; the sentence that is
best for the reference, which no method can know; objective and most central sentence by an encoder as it comes."""
REAL_ARMS = (*METHODS, *UNTRAINED)
REAL = "real."
"""In front of the arms on real abstracts."""
ALL_METHODS = (*INVENTED, *(f"{REAL}{arm}" for arm in REAL_ARMS))
ROUGES = ("rouge1", "rouge2", "rougel")
OTHER_SCORES = ("bertscore", "hidden_score", "bleurt")
LABELS = ("form", "result", "effect", "remarks")
"""Parts of a template."""
DIFFERENCES = (("part", "cloud"), ("full", "cloud"), ("full", "part"), ("full", "edge_alone"))
REAL_DIFFERENCES = tuple(
    (a, b) for a in ("full", "part") for b in ("objective", "cloud", "cloud_untrained", "edge_alone")
)
"""On real abstracts; `.detectable` is what a two-sided test at 5 % finds with a power of 80 %."""
ENDS = ("", ".low", ".high")
KINDS = (("invented", INVENTED), ("real", REAL_ARMS))
METRIC_NAMES = (
    *(f"{score}.{arm}{end}" for score in ROUGES for arm in METHODS for end in ("", ".low", ".high", ".std_over_seeds")),
    *(f"{score}.{a}_minus_{b}{end}" for score in ROUGES for a, b in DIFFERENCES for end in ("", ".low", ".high")),
    *(f"tokens.{arm}" for arm in METHODS[:-1]),
    *(f"{score}.{arm}" for score in OTHER_SCORES for arm in METHODS),
    "template_right",
    *(f"label_right.{label}" for label in LABELS),
    *(f"{score}.invented.{arm}{end}" for score in ROUGES for arm in INVENTED for end in ENDS),
    *(f"{score}.real.{arm}{end}" for score in ROUGES for arm in REAL_ARMS for end in ENDS),
    *(f"{score}.{kind}.{arm}" for score in ("bertscore", "bleurt") for kind, arms in KINDS for arm in arms),
    *(f"{a}_minus_{b}.{score}{end}" for a, b in REAL_DIFFERENCES for score in ROUGES for end in (*ENDS, ".detectable")),
    *(f"{a}_minus_objective.rouge1.stated{end}" for a in ("part", "full") for end in ENDS),
    "num_documents",
    "num_documents.stated",
    *(f"tokens.real.{arm}" for arm in METHODS[:-1]),
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
        methods: on invented fields: cloud (alone), part (labels of the edge-end model), full (labels and text),
            edge_alone, few_shot, reader.
        num_fields: invented fields per random seed; of a folder's four fields, the first so many.
        num_texts: abstracts per invented field that its devices hold.
        num_test_texts: abstracts per invented field to conclude.
        algorithm: how the edge-end model learns on its clients: lora, adapter, soft_prompt, fsl or fsl_averaged.
        rank: of LoRA, or virtual tokens.
        clients: devices of a field.
        rounds: of learning after which the arms write, ascending; metrics are those after the last.
        num_steps: mini-batches per client and round.
        batch_size: abstracts per mini-batch.
        rate: learning rate of the devices.
        air: of the links of the cell.
        models: `summaries` (shipped), or a folder that `gainnet train summaries` wrote.
        data: a folder of real abstracts in PubMed-RCT format, concluded beside the invented ones, else "".
        num_folds: of each field of the folder; an abstract is tested once, by models that learned from the other folds.
        ranker_hidden: values per sentence that cross between device and edge.
        ranker_rate: learning rate of rankers of sentences.
        ranker_batch_size: abstracts per mini-batch of theirs.
        cloud_url: an endpoint that speaks chat/completions, up to `/v1`, in the place of the local cloud, else "".
        cloud_model: how that endpoint calls its model.
        encoder: minilm, or folder of an encoder: for BERTScore and for sentences of real abstracts; "" for none.
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
    num_folds: Annotated[int, Field(ge=2)]
    ranker_hidden: Count
    ranker_rate: Positive
    ranker_batch_size: Count
    cloud_url: str
    cloud_model: str
    encoder: str
    bleurt: str

    def __post_init__(self) -> None:
        for method in self.methods:
            if method not in INVENTED:
                raise ValueError(f"methods: {method!r} is unknown; choose among {', '.join(INVENTED)}")
        if list(self.rounds) != sorted(set(self.rounds)):
            raise ValueError(f"rounds: {self.rounds} do not ascend; give for example 4, 8, 16")
        if self.cloud_model and not self.cloud_url:
            raise ValueError("cloud_model: it names a model of an endpoint; give cloud_url, too")


def cases(config: SummariesConfig) -> Iterator[Case]:
    """Every arm on every field after every number of rounds with every random seed; what learns nothing in rounds once.

    Real abstracts come last, with the first random seed: documents are what is repeated there.
    """
    last, fields = config.rounds[-1], [f"field_{index}" for index in range(config.num_fields)]
    for random_seed, field, rounds, method in product(config.random_seeds, fields, config.rounds, config.methods):
        if rounds == last or method not in ("cloud", *WITH_EXAMPLES):
            yield Case(method, {"field": field, "rounds": rounds}, random_seed)
    if config.data:
        for field, arm in product(real_fields(config), REAL_ARMS):
            yield Case(f"{REAL}{arm}", {"field": field, "rounds": last}, config.random_seeds[0])


def real_fields(config: SummariesConfig) -> tuple[str, ...]:
    """Fields of a folder, which key words find."""
    return FOLDER_FIELDS[: config.num_fields]


def current(table: dict[str, Any]) -> dict[str, Any]:
    """Settings of runs from before real abstracts were ranked by sentences."""
    gone = ("max_document_words", "max_conclusion_words", "folder_edge_steps", "folder_cloud_steps")
    new = {"num_folds": 5, "ranker_hidden": 32, "ranker_rate": 3e-3, "ranker_batch_size": 16}
    return new | {name: value for name, value in table.items() if name not in gone}


def warnings(config: SummariesConfig) -> tuple[str, ...]:
    """Warnings to show beside the numbers."""
    return (NOT_PUBMED,) if config.data else ()
