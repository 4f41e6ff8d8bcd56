"""Real abstracts: conclusions out of their own sentences, by rankers of a cloud and of the devices of each field.

devices of a field --split learning--> edge-end ranker --label, draft--> cloud ranker --> objective, chosen sentence
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.learning.clients import LocalTraining
from gainnet.learning.session import Learning
from gainnet.learning.summaries.conclusions import Cloud, Completion
from gainnet.learning.summaries.ranking import Ranked, Ranker, Scaling, learn_split, learn_whole
from gainnet.learning.summaries.rct import OTHER, Collection, field_of
from gainnet.learning.summaries.sentences import NUM_PLAIN, HashedWords, Sentences, Vectors, unigram_f
from gainnet.models.trials.abstract import StructuredAbstract
from gainnet.models.trials.prompts import FORMS, EdgeAnswer, cloud_prompt
from gainnet.studies.medical_summaries.material import FieldTexts, folds_of
from gainnet.studies.medical_summaries.question import SummariesConfig, real_fields
from gainnet.studies.study import Row
from gainnet.studies.trained import Stopwatch, trained_columns

MIN_PUBLIC = 20
NUM_OF_ANSWER = 2
"""Features that the edge-end ranker's answer adds to a sentence: whether its label names it, how close its draft is."""


@final
@dataclass(frozen=True, eq=False)
class Learned:
    """A ranker and what its training took.

    Args:
        ranker: of sentences.
        num_steps: mini-batches.
        columns: of the row of its arm.
        cost: of its rounds: bits, seconds, joules.
    """

    ranker: Ranker
    columns: Row
    cost: Mapping[str, float]


@final
@dataclass(frozen=True, eq=False)
class Fold:
    """A fold of a field, with its edge-end ranker.

    Args:
        texts: what is learned and what is tested.
        edge: learned on the devices that hold the former.
    """

    texts: FieldTexts
    edge: Learned


class RealAbstracts:
    """Everything that the arms on real abstracts share, made when it is first asked for.

    Args:
        config: of the study.
        collection: abstracts of the folder; those of no field are public, and the cloud learns them.
        vectors: of sentences; hashed words where `None`.
        endpoint: a cloud that completes prompts, in the place of the cloud's ranker, or `None`.
        learning: network and clients of every cell.
        random_seed: of folds, weights and mini-batches.

    Raises:
        ConfigError: too few abstracts are of no field.
    """

    def __init__(
        self,
        config: SummariesConfig,
        collection: Collection,
        vectors: Vectors | None,
        endpoint: Cloud | None,
        learning: Learning,
        random_seed: int,
    ) -> None:
        self._config, self._collection, self._endpoint = config, collection, endpoint
        self._vectors, self._learning = vectors or HashedWords(), learning
        self._random, self._seed = Random.of(random_seed).child("real"), random_seed
        self._known: dict[str, Sentences] = {}
        self._ranked: dict[str, Ranked] = {}
        self._public = [a for a in collection.train if field_of(a) == OTHER]
        if len(self._public) < MIN_PUBLIC:
            few = f"{len(self._public)} abstracts of no field are too few for the cloud to learn from"
            raise ConfigError(f"data: {few}; give at least {MIN_PUBLIC}")

    def answers(self, arm: str, field: str) -> tuple[list[StructuredAbstract], list[Completion], Row]:
        """The abstracts of a field over all folds, a conclusion of each by an arm, and what its training took.

        Args:
            arm: one of `REAL_ARMS`.
            field: of the folder.
        """
        abstracts, said, columns, cost = list[StructuredAbstract](), list[Completion](), dict[str, Row](), list[Row]()
        for index, fold in enumerate(self._folds[field]):
            abstracts += fold.texts.test
            cost.append(fold.edge.cost)
            if arm in FORMS and self._endpoint is not None:
                said += self._endpoint.complete([self._prompt(arm, a, fold.edge) for a in fold.texts.test])
                continue
            if arm in FORMS:
                columns[str(index)] = self._clouds[index][arm].columns
            elif arm == "edge_alone":
                columns[str(index)] = fold.edge.columns
            said += [self._conclude(arm, abstract, index, fold) for abstract in fold.texts.test]
        row = dict(next(iter(columns.values()), {}))
        # Of all folds together: each of them trains as long.
        totals = ("num_steps", "num_samples", "measured_training_s")
        row |= {name: sum(float(str(some[name])) for some in columns.values()) for name in totals if row}
        edge_cost = {f"edge_{name}": sum(float(str(some[name])) for some in cost) for name in cost[0]}
        stated = " ".join(str(int(self._sentences(a).states_objective)) for a in abstracts)
        return abstracts, said, row | edge_cost | {"stated_of_documents": stated}

    def _conclude(self, arm: str, abstract: StructuredAbstract, index: int, fold: Fold) -> Completion:
        sentences = self._sentences(abstract)
        given = [sentence.text for sentence in sentences.given]
        if arm == "objective":
            return Completion(given[sentences.objective], None, None)
        if arm == "lead":
            return Completion(given[0], None, None)
        if arm == "oracle":
            return Completion(max(given, key=lambda text: unigram_f(abstract.conclusion, text)), None, None)
        if arm == "nearest":
            return Completion(self._nearest(sentences, fold.texts.train).conclusion, None, None)
        if arm == "cloud_untrained":
            return Completion(sentences.draft(sentences.central), None, None)
        label = self._label(abstract, fold.edge)
        if arm == "edge_alone":
            return Completion(sentences.draft(label), None, None)
        place = self._clouds[index][arm].ranker.best(self._features(abstract, arm, label))
        text, prompt = sentences.draft(place), self._prompt(arm, abstract, fold.edge)
        # A ranker has no tokenizer: words stand for its tokens.
        return Completion(text, len(prompt.split()), len(text.split()))

    def _nearest(self, sentences: Sentences, among: Sequence[StructuredAbstract]) -> StructuredAbstract:
        center = sentences.vectors.mean(0)
        return max(among, key=lambda abstract: float(self._sentences(abstract).vectors.mean(0) @ center))

    def _prompt(self, arm: str, abstract: StructuredAbstract, edge: Learned) -> str:
        sentences, label = self._sentences(abstract), self._label(abstract, edge)
        answer = EdgeAnswer(sentences.label(label), sentences.draft(label))
        return cloud_prompt(arm, abstract.document, answer)

    def _label(self, abstract: StructuredAbstract, edge: Learned) -> int:
        """Place of the sentence that the edge-end ranker concludes from."""
        return edge.ranker.best(self._ranked_of(abstract).features)

    def _sentences(self, abstract: StructuredAbstract) -> Sentences:
        if abstract.name not in self._known:
            self._known[abstract.name] = Sentences.of(abstract, self._vectors)
        return self._known[abstract.name]

    def _ranked_of(self, abstract: StructuredAbstract) -> Ranked:
        """Scaled features of an abstract's sentences, and what each would be worth."""
        if abstract.name not in self._ranked:
            sentences = self._sentences(abstract)
            places = range(len(sentences.given))
            gains = [unigram_f(abstract.conclusion, sentences.draft(place)) for place in places]
            features = self._scaling.of(sentences.features)
            self._ranked[abstract.name] = Ranked(features, torch.tensor(gains, dtype=torch.float32))
        return self._ranked[abstract.name]

    @cached_property
    def _scaling(self) -> Scaling:
        # Of public abstracts, which every edge may know; those of devices say nothing about the scale.
        return Scaling.over([self._sentences(a).features for a in self._public], NUM_PLAIN)

    def _features(self, abstract: StructuredAbstract, form: str, label: int) -> Tensor:
        """[num_sentences, width + 2], features of a cloud of a form: the edge-end ranker's answer stands at the end.

        A cloud alone reads no answer, and Part reads no draft.
        """
        features = self._ranked_of(abstract).features
        answer = torch.zeros(len(features), NUM_OF_ANSWER)
        if form != "cloud":
            answer[label, 0] = 1.0
        if form == "full":
            sentences, words = self._sentences(abstract), HashedWords()
            draft = words.of([sentences.draft(label)])[0]
            answer[:, 1] = words.of([sentence.text for sentence in sentences.given]) @ draft
        return torch.cat([features, answer], 1)

    @cached_property
    def _folds(self) -> dict[str, list[Fold]]:
        """Folds of every field, each with an edge-end ranker of its own."""
        return {
            field: [
                Fold(texts, self._edge(texts, self._random.child("edge", field, index)))
                for index, texts in enumerate(folds_of(self._config, self._collection, field, self._seed))
            ]
            for field in real_fields(self._config)
        }

    def _edge(self, texts: FieldTexts, random: Random) -> Learned:
        config, watch, devices = self._config, Stopwatch(), self._learning.devices
        documents = [self._ranked_of(abstract) for abstract in texts.train]
        known = {name: documents[k :: len(devices)] for k, name in enumerate(devices)}
        ranker = Ranker(documents[0].features.shape[1], config.ranker_hidden, self._seed)
        network = self._learning.network
        cost = learn_split(ranker, known, network, self._training, config.rounds[-1], random)
        return Learned(ranker, self._columns(ranker, watch), cost)

    @cached_property
    def _clouds(self) -> list[dict[str, Learned]]:
        """Per fold a cloud of each form, which learned public abstracts with answers of the fold's edge-end rankers."""
        num_folds = max(len(folds) for folds in self._folds.values())
        return [{form: self._cloud(form, index) for form in FORMS} for index in range(num_folds)]

    def _cloud(self, form: str, index: int) -> Learned:
        watch, known = Stopwatch(), list[Ranked]()
        edges = [folds[min(index, len(folds) - 1)].edge for folds in self._folds.values()]
        for number, abstract in enumerate(self._public):
            # In turn: the cloud has to bear with edges of every field.
            label = self._label(abstract, edges[number % len(edges)])
            known.append(Ranked(self._features(abstract, form, label), self._ranked_of(abstract).gains))
        ranker = Ranker(known[0].features.shape[1], self._config.ranker_hidden, self._seed)
        learn_whole(ranker, known, self._training, self._num_steps, self._random.child("cloud", index))
        return Learned(ranker, self._columns(ranker, watch), {})

    @property
    def _training(self) -> LocalTraining:
        config = self._config
        return LocalTraining("adamw", config.ranker_rate, config.num_steps, config.ranker_batch_size)

    @property
    def _num_steps(self) -> int:
        """Mini-batches of an edge-end ranker in all rounds; a cloud's ranker trains as long."""
        return self._config.rounds[-1] * len(self._learning.devices) * self._config.num_steps

    def _columns(self, ranker: Ranker, watch: Stopwatch) -> Row:
        samples = self._num_steps * self._config.ranker_batch_size
        return trained_columns({"ranker": ranker}, self._num_steps, samples, watch.cpu_s, samples)
