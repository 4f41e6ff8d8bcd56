"""Study prompt-fidelity: does the shipped model draw what a caption says?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, final

import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from gainnet.core.errors import ModelError
from gainnet.core.randomness import Random
from gainnet.models.attributes import AttributeClassifier
from gainnet.models.loading import find_folder, load_model
from gainnet.studies.figures import panels
from gainnet.studies.palette import BLUE, GREY
from gainnet.studies.results import config_hash
from gainnet.studies.settings import NonEmpty, Seeds
from gainnet.studies.statistics import at, named, round_metrics, spread
from gainnet.studies.study import Case, Method, Row, Study
from gainnet.studies.weights import picture_digests
from gainnet.training.scenes_evaluation import evaluate_autoencoder, evaluate_captions, unseen_captions

ATTRIBUTES = ("background", "layout", "colour", "shape", "size", "all")
METHODS = ("captions", "autoencoder", "heldout_pairs")
METRIC_NAMES = (*ATTRIBUTES, "autoencoder_psnr_db_original", "heldout_pairs_shape")


@final
@dataclass(frozen=True)
class PromptFidelityConfig:
    """Settings of the study prompt-fidelity.

    Args:
        random_seeds: each draws its own captions, initial noise and pictures.
        num_captions: unseen captions per random seed.
        num_pictures: drawn pictures per random seed for the autoencoder.
        methods: what is measured.
        model: name or folder of the model.
    """

    random_seeds: Seeds
    num_captions: Annotated[int, Field(ge=1, le=10_000)]
    num_pictures: Annotated[int, Field(ge=1, le=10_000)]
    methods: NonEmpty[Literal["captions", "autoencoder", "heldout_pairs"]]
    model: str = "scenes"


def cases(config: PromptFidelityConfig) -> Iterator[Case]:
    """Every method once per random seed; the held-out pairs were measured once, when the model was trained."""
    num_items = {"captions": config.num_captions, "autoencoder": config.num_pictures}
    for random_seed, method in product(config.random_seeds, config.methods):
        if method != "heldout_pairs" or random_seed == config.random_seeds[0]:
            yield Case(method, {"num_items": num_items.get(method)}, random_seed)


def open_methods(config: PromptFidelityConfig) -> Mapping[str, Method]:
    """The shipped pipeline and classifier, loaded once."""
    folder = find_folder(config.model)
    pipeline, classifier = load_model(config.model).pipeline, AttributeClassifier.from_pretrained()

    def captions(case: Case, random: Random) -> Row:
        unseen = unseen_captions(folder, config.num_captions, case.random_seed)
        return {**evaluate_captions(pipeline, classifier, unseen, case.random_seed), "recomputed": True}

    def autoencoder(case: Case, random: Random) -> Row:
        return {**evaluate_autoencoder(pipeline, config.num_pictures, case.random_seed), "recomputed": True}

    def heldout_pairs(case: Case, random: Random) -> Row:
        return {"heldout_pairs_shape": _trained(folder).get("heldout_pairs_shape"), "recomputed": False}

    return {"captions": captions, "autoencoder": autoencoder, "heldout_pairs": heldout_pairs}


def identity(config: PromptFidelityConfig) -> Mapping[str, str]:
    """sha256 of the model, of the classifier that judges it and of the record of the training."""
    trained = config_hash(_trained(find_folder(config.model)))
    return {**picture_digests(config.model, "classifier"), "trained": trained}


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Means over the random seeds."""
    return round_metrics(named(table.reindex(columns=METRIC_NAMES).mean().dropna(), "{}"), 6)


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Share of attributes that the pictures have, with its spread."""
    captions = at(table, method="captions")
    if captions.empty:
        return
    note = (
        f"{captions['num_items'].max():g} unseen captions x {len(captions)} random seeds, judged by an "
        "attribute classifier;\nbars: 95 % Student interval over random seeds."
    )
    figure, (ax,) = panels(1, 1, "Does the picture show what the caption says?", note)
    found = [spread(captions[name]) for name in ATTRIBUTES]
    means, errors = [s.mean for s in found], [s.error_bar for s in found]
    ax.errorbar(ATTRIBUTES, means, errors, fmt="o", color=BLUE, ecolor=GREY, capsize=4)
    for x, mean in enumerate(means):
        ax.annotate(f"{mean:.3f}", (x, mean), textcoords="offset points", xytext=(7, 5))
    lowest = min(0.8, min(means) - 0.05)
    ax.set(ylabel="share of attributes that are right", ylim=(lowest, 1.01))
    yield "prompt_fidelity", figure


def _trained(folder: Path) -> dict[str, Any]:
    """Record of the training beside the weights; `{}` where it wrote nothing."""
    try:
        trained = json.loads((folder / "trained.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise ModelError(f"model: {folder / 'trained.json'} is not JSON; reinstall the model") from None
    return {**trained, **trained.get("metrics", {})}


PROMPT_FIDELITY = Study(
    "prompt-fidelity", PromptFidelityConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw
)
