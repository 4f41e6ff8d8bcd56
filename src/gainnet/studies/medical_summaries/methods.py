"""The arms: each writes conclusions of a field's abstracts, and each is judged in the same way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any, final

from gainnet.catalog.learning import learning_of
from gainnet.catalog.records import LearnConfig
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.adapters import FORMS, require_peft
from gainnet.learning.session import Learning
from gainnet.learning.summaries.conclusions import (
    Cloud,
    Completion,
    EdgeEnd,
    LocalCloud,
    conclude,
    growing_edge_end,
)
from gainnet.learning.summaries.endpoint import EndpointCloud
from gainnet.learning.summaries.scores import (
    EncodedMeans,
    HiddenStates,
    bert_score,
    load_hidden_states,
    load_judge,
    rouge,
)
from gainnet.learning.summaries.sentences import Vectors
from gainnet.models.trials.prompts import EdgeAnswer, few_shot_prompt
from gainnet.models.trials.reading import conclude_as
from gainnet.models.trials.template import Template, read_template, template_of
from gainnet.studies.medical_summaries.material import (
    FieldTexts,
    Models,
    invented_texts,
    read_folder,
    shipped_models,
)
from gainnet.studies.medical_summaries.question import ALL_METHODS, LABELS, REAL, WITH_EXAMPLES, SummariesConfig
from gainnet.studies.medical_summaries.real import RealAbstracts
from gainnet.studies.study import Case, Method, Row, Value
from gainnet.studies.trained import Stopwatch, trained_columns
from gainnet.training.summaries import NUM_EXAMPLES, PRESETS

Score = Callable[[Sequence[str], Sequence[str]], list[float]]


@final
@dataclass(frozen=True, eq=False)
class Grown:
    """A field whose edge-end model has learned and has spoken about every abstract that is to be concluded.

    Args:
        texts: of the field.
        edge: its edge-end model.
        said: about each test abstract.
        columns: of its training.
    """

    texts: FieldTexts
    edge: EdgeEnd
    said: tuple[EdgeAnswer, ...]
    columns: Row


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
    endpoint = EndpointCloud(config.cloud_url, config.cloud_model) if config.cloud_url else None
    encoder = load_hidden_states(config.encoder) if config.encoder else None
    judge = load_judge(config.bleurt) if config.bleurt else None
    meanings: dict[str, Score] = {} if encoder is None else {"bertscore": _by_hidden_states(encoder)}
    meanings |= {} if judge is None else {"bleurt": judge.score}
    invented = _on_invented(config, endpoint, meanings)
    real = _on_real(config, endpoint, None if encoder is None else EncodedMeans(encoder), meanings)
    return {name: real if name.startswith(REAL) else invented for name in ALL_METHODS}


def _on_invented(config: SummariesConfig, endpoint: Cloud | None, meanings: Mapping[str, Score]) -> Method:
    """All arms on invented fields, which share what an edge-end model of the field says."""

    @cache
    def models() -> Models:
        return shipped_models(config)

    @cache
    def grown(field: str, random_seed: int) -> dict[int, Grown]:
        known, watch = models(), Stopwatch()
        texts = invented_texts(config, field, random_seed)
        learning, documents = _learning_of(config, random_seed), [a.document for a in texts.test]
        edges = growing_edge_end(known.edge, known.tokenizer, texts.train, learning, config.rounds)
        # Every edge answers before the next one is grown out of it.
        return {
            n: Grown(texts, e, tuple(e.answer(documents)), _edge_columns(config, e, n, watch.cpu_s))
            for n, e in zip(config.rounds, edges, strict=True)
        }

    def run(case: Case, random: Random) -> Row:
        known, field = models(), grown(case.text("field"), case.random_seed)[case.count("rounds")]
        if case.method in WITH_EXAMPLES:
            written = _with_examples(case.method, field.texts, known, endpoint)
        else:
            cloud: Cloud = endpoint or LocalCloud(known.cloud, known.tokenizer)
            written = conclude(case.method, [a.document for a in field.texts.test], field.said, cloud)
        # How an endpoint's model was trained is not for us to say.
        columns = _columns(case.method, known, field) if endpoint is None else {}
        scores = {"hidden_score": _by_hidden_states(HiddenStates(known.cloud, known.tokenizer)), **meanings}
        read = [read_template(answer.template) for answer in field.said]
        labels = labels_right([template_of(abstract) for abstract in field.texts.test], read)
        edge = {f"edge_{name}": value for name, value in field.edge.cost.items()}
        row = row_of([a.conclusion for a in field.texts.test], written, scores)
        return {**row, **labels, **edge, **columns, "warning": ""}

    return run


def _on_real(
    config: SummariesConfig, endpoint: Cloud | None, vectors: Vectors | None, meanings: Mapping[str, Score]
) -> Method:
    """All arms on real abstracts, which share rankers of their sentences."""

    @cache
    def abstracts_of(random_seed: int) -> RealAbstracts:
        learning = _learning_of(config, random_seed)
        return RealAbstracts(config, read_folder(config), vectors, endpoint, learning, random_seed)

    def run(case: Case, random: Random) -> Row:
        arm, real = case.method.removeprefix(REAL), abstracts_of(case.random_seed)
        abstracts, written, columns = real.answers(arm, case.text("field"))
        row = row_of([a.conclusion for a in abstracts], written, meanings)
        return {**row, **columns, "warning": "not PubMed 20k RCT"}

    return run


def _with_examples(arm: str, texts: FieldTexts, known: Models, endpoint: Cloud | None) -> list[Completion]:
    """Conclusions of what sees the first trials of the field, with their conclusions."""
    examples = texts.train[:NUM_EXAMPLES]
    if arm == "reader":
        return [Completion(conclude_as(examples, abstract), None, None) for abstract in texts.test]
    cloud = endpoint or LocalCloud(known.few_shot, known.tokenizer)
    return cloud.complete([few_shot_prompt(examples, abstract.document) for abstract in texts.test])


def _columns(arm: str, known: Models, field: Grown) -> Row:
    """How the model of an arm was trained: the edge-end one here, clouds when they were made, a reader not at all."""
    size, model = PRESETS["default"].cloud, known.few_shot if arm == "few_shot" else known.cloud
    if arm == "edge_alone":
        return field.columns
    # Their processor time stands in trained.json; nothing of it is spent here.
    return {} if arm == "reader" else _shipped_columns(model, size.num_steps, size.num_steps * size.batch_size)


def _shipped_columns(model: Any, num_steps: int, num_samples: int) -> Row:
    columns = trained_columns({"cloud": model}, num_steps, num_samples, 0.0, num_samples)
    return {name: value for name, value in columns.items() if not name.startswith("measured_")}


def _edge_columns(config: SummariesConfig, edge: EdgeEnd, rounds: int, cpu_s: float) -> Row:
    num_steps, size = rounds * config.clients * config.num_steps, config.batch_size
    # An arm of fewer rounds is another point of the sweep and not a shorter try of the same.
    return trained_columns({"edge": edge.model}, num_steps, num_steps * size, cpu_s)


def row_of(references: Sequence[str], written: Sequence[Completion], scores: Mapping[str, Score]) -> dict[str, Value]:
    """Row of an arm on a field: means, and ROUGE of every document for intervals.

    Args:
        references: conclusions of the authors.
        written: one conclusion each.
        scores: others than ROUGE, by name.
    """
    texts = [completion.text for completion in written]
    by_document = rouge(references, texts)
    tokens = [completion.num_tokens for completion in written]
    known = [count for count in tokens if count is not None]
    flaws = Counter(completion.flaw for completion in written if completion.flaw)
    row: dict[str, Value] = {"num_documents": len(texts)}
    row |= {name: fmean(values) for name, values in by_document.items()}
    row |= {name: fmean(score(references, texts)) for name, score in scores.items()}
    row |= {"tokens": fmean(known) if len(known) == len(tokens) else None}
    row |= {"num_empty": sum(not text for text in texts)}
    row |= {"flaws": ", ".join(f"{flaw} {count}" for flaw, count in sorted(flaws.items()))}
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
