"""The arms: each writes conclusions of a field's abstracts, and each is judged in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from statistics import fmean
from typing import final

from gainnet.catalog.learning import learning_of
from gainnet.catalog.records import LearnConfig
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.adapters import FORMS, require_peft
from gainnet.learning.session import Learning
from gainnet.learning.summaries.conclusions import (
    ARMS,
    Cloud,
    Completion,
    EdgeEnd,
    LocalCloud,
    conclude,
    growing_edge_end,
)
from gainnet.learning.summaries.endpoint import EndpointCloud
from gainnet.learning.summaries.scores import HiddenStates, bert_score, load_hidden_states, load_judge, rouge
from gainnet.models.trials.prompts import EdgeAnswer
from gainnet.models.trials.template import Template, read_template, template_of
from gainnet.studies.medical_summaries.material import (
    FieldTexts,
    Models,
    folder_models,
    folder_texts,
    invented_texts,
    read_folder,
    shipped_models,
)
from gainnet.studies.medical_summaries.question import LABELS, SummariesConfig
from gainnet.studies.study import Case, Method, Row

Score = Callable[[Sequence[str], Sequence[str]], list[float]]


@final
@dataclass(frozen=True, eq=False)
class Grown:
    """A field whose edge-end model has learned and has spoken about every abstract that is to be concluded.

    Args:
        texts: of the field.
        edge: its edge-end model.
        said: about each test abstract.
    """

    texts: FieldTexts
    edge: EdgeEnd
    said: tuple[EdgeAnswer, ...]


def open_methods(config: SummariesConfig) -> Mapping[str, Method]:
    """All arms over the same fields; models and fields are made once, when a case first asks for them.

    Raises:
        ConfigError: the folder of abstracts cannot be used, or the endpoint's address is none.
        MissingExtraError: a library of the scores or of prompt learning is not installed.
        ModelError: a model is missing or damaged.
    """
    # Asked for now, so that a missing library is missed before hours of learning.
    rouge(["a"], ["a"])
    if config.algorithm in FORMS:
        require_peft()
    collection = read_folder(config) if config.data else None
    endpoint = EndpointCloud(config.cloud_url, config.cloud_model) if config.cloud_url else None
    encoder = load_hidden_states(config.encoder) if config.encoder else None
    judge = load_judge(config.bleurt) if config.bleurt else None

    @cache
    def models(random_seed: int) -> Models:
        return shipped_models(config) if collection is None else folder_models(config, collection, random_seed)

    @cache
    def grown(field: str, random_seed: int) -> dict[int, Grown]:
        known = models(random_seed)
        invented = partial(invented_texts, config, field, random_seed)
        texts = invented() if collection is None else folder_texts(config, collection, field)
        learning, documents = _learning_of(config, random_seed), [a.document for a in texts.test]
        edges = growing_edge_end(known.edge, known.tokenizer, texts.train, learning, config.rounds)
        # Every edge answers before the next one is grown out of it.
        return {n: Grown(texts, e, tuple(e.answer(documents))) for n, e in zip(config.rounds, edges, strict=True)}

    def run(case: Case, random: Random) -> Row:
        known = models(case.random_seed)
        field = grown(case.text("field"), case.random_seed)[case.count("rounds")]
        cloud: Cloud = endpoint or LocalCloud(known.cloud, known.tokenizer)
        written = conclude(case.method, [a.document for a in field.texts.test], field.said, cloud)
        scores: dict[str, Score] = {"hidden_score": _by_hidden_states(HiddenStates(known.cloud, known.tokenizer))}
        if encoder is not None:
            scores["bertscore"] = _by_hidden_states(encoder)
        if judge is not None:
            scores["bleurt"] = judge.score
        return row_of(field, written, scores) | {"warning": "not PubMed 20k RCT" if config.data else ""}

    return dict.fromkeys(ARMS, run)


def row_of(field: Grown, written: Sequence[Completion], scores: Mapping[str, Score]) -> dict[str, str | float | None]:
    """Row of an arm on a field: means, and ROUGE of every document for intervals.

    Args:
        field: whose test abstracts were concluded.
        written: one conclusion each.
        scores: others than ROUGE, by name.
    """
    references, texts = [a.conclusion for a in field.texts.test], [completion.text for completion in written]
    by_document = rouge(references, texts)
    tokens = [completion.num_tokens for completion in written]
    known = [count for count in tokens if count is not None]
    row: dict[str, str | float | None] = {"num_documents": len(texts)}
    row |= {name: fmean(values) for name, values in by_document.items()}
    row |= {name: fmean(score(references, texts)) for name, score in scores.items()}
    row |= {"tokens": fmean(known) if len(known) == len(tokens) else None}
    row |= {"num_empty": sum(not text for text in texts)}
    row |= labels_right([template_of(a) for a in field.texts.test], [read_template(a.template) for a in field.said])
    row |= {f"edge_{name}": value for name, value in field.edge.cost.items()}
    return row | {f"{name}_of_documents": " ".join(f"{x:.4f}" for x in xs) for name, xs in by_document.items()}


def labels_right(templates: Sequence[Template], said: Sequence[Template]) -> dict[str, float]:
    """Shares of right labels: of whole templates, and of each part.

    Args:
        templates: of the authors' conclusions.
        said: one by the edge-end model for each.
    """
    pairs = list(zip(templates, said, strict=True))
    found = {f"label_right.{name}": fmean(getattr(t, name) == getattr(s, name) for t, s in pairs) for name in LABELS}
    return {"template_right": fmean(t == s for t, s in pairs)} | found


def _by_hidden_states(encoder: HiddenStates) -> Score:
    return lambda references, texts: bert_score(references, texts, encoder)


def _learning_of(config: SummariesConfig, random_seed: int) -> Learning:
    """As `gainnet learn` learns, but for model and texts."""
    texts = LearnConfig(
        algorithm=config.algorithm,
        rank=config.rank,
        clients=config.clients,
        rounds=config.rounds[-1],
        num_steps=config.num_steps,
        batch_size=config.batch_size,
        rate=config.rate,
        snr_db=config.air.snr_db,
        random_seed=random_seed,
    )
    return learning_of(texts)
