"""Training the models that write conclusions: an edge-end model, a cloud of three forms, a few-shot one.

abstracts of thousands of fields  -------------------------------> [ edge ], still without a field
abstracts of thousands of others, with labels and drafts --------> [ cloud ]
the same fields, three abstracts with conclusions and a fourth --> [ few-shot cloud ]

Each abstract is of another field, so that nothing is gained by learning fields by heart: reading, copying and reasoning
are what pays. Labels and draft come from somebody who is right in some abstracts and often wrong in others, so that the
cloud learns how far to trust each. Fields that are tested are in neither training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from gainnet.core.files import write_json
from gainnet.core.randomness import Random
from gainnet.core.run.checkpoint import fingerprint
from gainnet.core.run.loop import silent
from gainnet.models.language import save_language_model, small_decoder, token_losses
from gainnet.models.language_families import IGNORED
from gainnet.models.trials.abstract import StructuredAbstract
from gainnet.models.trials.answering import subword_tokenizer, task_rows
from gainnet.models.trials.fields import invented_fields
from gainnet.models.trials.prompts import (
    FORMS,
    EdgeAnswer,
    cloud_prompt,
    edge_completion,
    edge_prompt,
    few_shot_prompt,
)
from gainnet.models.trials.template import template_of
from gainnet.models.trials.writing import NUM_MEASURED, draw_trial, mistaken, write_abstract
from gainnet.training.loop import Progress, Stage, Training, open_training
from gainnet.training.muon import muon_and_adamw

CLOUD_FIELDS = 1 << 20
FEW_SHOT, NUM_EXAMPLES = "few_shot", 3
"""Folder of the cloud that reads so many trials of the field before the one that it concludes."""
_FEW_SHOT_DRAWS = 1 << 21
WORST_LABELS, WORST_FACTS = 0.7, 0.25
"""How often the worst draw labels by chance, and facts of their drafts."""
DOCUMENT_WEIGHT = 0.3
"""Weight of predicting the document beside that of the answer: repeated names in a document teach to copy."""


@final
@dataclass(frozen=True)
class Size:
    """A model and how long it is trained.

    Args:
        hidden_size: width.
        num_layers: blocks.
        num_steps: mini-batches.
        batch_size: abstracts per mini-batch.
    """

    hidden_size: int
    num_layers: int
    num_steps: int
    batch_size: int = 16


@final
@dataclass(frozen=True)
class SummariesTraining:
    """Sizes of both models and of their text.

    Args:
        edge: the edge-end model before it meets its field.
        cloud: the cloud.
        num_tokens: of the vocabulary.
        num_texts: abstracts that each of them learns, every one of another field.
        rate: peak learning rate of Muon, which trains the blocks.
        token_rate: peak learning rate of AdamW, which trains the embeddings of tokens on both ends. They have to move
            faster than the blocks: at a quarter of that rate a model does not begin to copy names within 900 steps.
        checkpoint_every: steps between checkpoints.
    """

    edge: Size = Size(32, 2, 600)
    cloud: Size = Size(96, 3, 2400)
    num_tokens: int = 1100
    num_texts: int = 12000
    rate: float = 0.005
    token_rate: float = 0.01
    checkpoint_every: int = 100


PRESETS = {
    "default": SummariesTraining(),
    "tiny": SummariesTraining(Size(16, 1, 10, 4), Size(16, 1, 20, 4), 400, 24, checkpoint_every=10),
}


@final
@dataclass(frozen=True)
class Library:
    """The abstracts that both models are trained on.

    Args:
        for_edge: abstracts that the edge-end model learns.
        for_cloud: other abstracts, which the cloud learns.
        said: labels and draft of each of them.
    """

    for_edge: tuple[StructuredAbstract, ...]
    for_cloud: tuple[StructuredAbstract, ...]
    said: tuple[EdgeAnswer, ...]


def answering_stage(
    name: str,
    model: Any,
    forms: Sequence[tuple[Tensor, Tensor]],
    size: Size,
    rates: tuple[float, float],
    random: Random,
) -> Stage:
    """A model that learns to answer prompts, short ones first, and a little to predict the prompts.

    Args:
        name: of the stage.
        model: causal; is trained in place.
        forms: tokens and labels [num_tasks, length] of the tasks of each form; a mini-batch is of one form, in turn.
        size: says how many mini-batches of how many tasks.
        rates: peak learning rates of blocks and of embeddings.
        random: of mini-batches.
    """
    pad = model.config.pad_token_id
    sorted_forms = [_short_first(tokens, labels, pad) for tokens, labels in forms]

    def loss(step: int) -> Tensor:
        tokens, labels = sorted_forms[step % len(sorted_forms)]
        num_open = max(1, int(share_open(step / size.num_steps) * len(tokens)))
        rows = torch.from_numpy(random.generators("batch", step)[0].integers(num_open, size=size.batch_size))
        tokens, labels = tokens[rows], labels[rows]
        # Columns that are padding in every row cost time and change nothing.
        length = int((tokens != pad).sum(1).max())
        tokens, labels = tokens[:, :length], labels[:, :length]
        every = token_losses(model, model(input_ids=tokens).logits, tokens)
        answered, read = (labels != IGNORED)[:, 1:], ((labels == IGNORED) & (tokens != pad))[:, 1:]
        return every[answered].mean() + DOCUMENT_WEIGHT * every[read].mean()

    # Embeddings have to move faster than blocks (`token_rate`), so they have an optimizer of their own.
    optimizers = muon_and_adamw(model, (model.get_input_embeddings(), model.get_output_embeddings()))
    return Stage(name, size.num_steps, model, optimizers, rates, 0.98, loss)


def share_open(progress: float) -> float:
    """Share of the texts, shortest first, that a mini-batch may be of.

    In a document with one result a model learns to copy its outcome within 250 steps; among three it has not begun to
    after 1,500. Once it copies, it learns to choose.

    Args:
        progress: of the training, in [0, 1].

    >>> [round(share_open(progress), 2) for progress in (0.0, 0.25, 0.4, 0.6, 1.0)]
    [0.33, 0.33, 0.62, 1.0, 1.0]
    """
    return (1 + 2 * min(1.0, max(0.0, (progress - 0.25) / 0.35))) / 3


def _short_first(tokens: Tensor, labels: Tensor, pad: int) -> tuple[Tensor, Tensor]:
    order = (tokens != pad).sum(1).argsort(stable=True)
    return tokens[order], labels[order]


def train_summaries(
    out: Path, random_seed: int = 0, sizes: SummariesTraining = PRESETS["default"], progress: Progress = silent
) -> dict[str, Any]:
    """Trains the edge-end model, the cloud and the few-shot cloud on invented fields; goes on where it was stopped.

    Args:
        out: Hugging Face folders are written in it, `edge`, `cloud` and `few_shot`, and trained.json; checkpoints lie
            in `training`.
        random_seed: of fields, text, weights and mini-batches; the study draws its fields from other seeds.
        sizes: of models and training.
        progress: called after every 10 steps.

    Returns:
        The content of trained.json: sizes, seconds of processor time, parameters.

    Raises:
        ConfigError: the folder cannot be written, or was begun with other settings.
    """
    settings = {"random_seed": random_seed, "sizes": asdict(sizes)}
    with open_training(out, out / "training", settings, sizes.checkpoint_every, progress) as training:
        edge, cloud, tokenizer = train_pair(written_library(sizes, random_seed), sizes, random_seed, training)
        few_shot = train_few_shot(tokenizer, sizes, random_seed, training)
        trained = {
            **training.settings,
            "cpu_s": round(sum(training.cpu_s.values()), 1),
            "num_parameters": {
                name: _num_parameters(model) for name, model in (("edge", edge), ("cloud", cloud), (FEW_SHOT, few_shot))
            },
        }
        save_language_model(edge.half(), tokenizer, out / "edge")
        save_language_model(cloud.half(), tokenizer, out / "cloud")
        save_language_model(few_shot.half(), tokenizer, out / "few_shot")
        write_json(out / "trained.json", trained)
        return trained


def written_library(sizes: SummariesTraining, random_seed: int) -> Library:
    """Abstracts of invented fields, in the numbers that a training asks for."""
    rng = np.random.default_rng([random_seed, CLOUD_FIELDS])
    for_edge, for_cloud, said = [], [], []
    for field in invented_fields(sizes.num_texts, random_seed):
        trial = draw_trial(field, rng, _some_outcomes(rng))
        for_edge.append(write_abstract(field.name, trial, field.habit))
    for field in invented_fields(sizes.num_texts, CLOUD_FIELDS + random_seed):
        trial = draw_trial(field, rng, _some_outcomes(rng))
        for_cloud.append(write_abstract(field.name, trial, field.habit))
        template, draft = mistaken(trial, field, WORST_LABELS * rng.random(), WORST_FACTS * rng.random(), rng)
        said.append(EdgeAnswer(str(template), draft))
    return Library(tuple(for_edge), tuple(for_cloud), tuple(said))


def _some_outcomes(rng: np.random.Generator) -> int:
    """One to three: short documents, with one, are what `share_open` begins with."""
    return int(rng.integers(1, NUM_MEASURED + 1))


def train_pair(
    library: Library, sizes: SummariesTraining, random_seed: int, training: Training
) -> tuple[Any, Any, Any]:
    """(edge-end model, cloud, their tokenizer), trained on the same abstracts.

    Args:
        library: what to learn.
        sizes: of models and training; numbers of fields and texts are not read.
        random_seed: of weights and mini-batches.
        training: keeps the checkpoints of both.
    """
    tokenizer = tokenizer_of(library, sizes.num_tokens)
    rows = task_rows(tokenizer, [(edge_prompt(a.document), _edge_answer(a)) for a in library.for_edge])

    def learned(name: str, size: Size, forms: Sequence[tuple[Tensor, Tensor]]) -> Any:
        model = small_decoder(size.hidden_size, size.num_layers, 4, len(tokenizer), random_seed)
        random = Random.of(random_seed).child(name)
        texts = fingerprint({f"{k}.{i}": x for k, pair in enumerate(forms) for i, x in enumerate(pair)})
        rates = sizes.rate, sizes.token_rate
        training.train(answering_stage(name, model, forms, size, rates, random), texts)
        return model.eval()

    edge = learned("edge", sizes.edge, (rows,))
    return edge, learned("cloud", sizes.cloud, _forms(tokenizer, library.for_cloud, library.said)), tokenizer


def few_shot_tasks(sizes: SummariesTraining, random_seed: int) -> list[tuple[str, str]]:
    """(prompt, conclusion) of one trial of each field that the cloud learns, after three others of the same field.

    Args:
        sizes: number of fields.
        random_seed: of the fields, those of the cloud, and of their trials.
    """
    # Draws of their own: the texts of edge and cloud stay as they are.
    rng = np.random.default_rng([random_seed, _FEW_SHOT_DRAWS])
    tasks = []
    for field in invented_fields(sizes.num_texts, CLOUD_FIELDS + random_seed):
        # As many outcomes in all four trials: then whole prompts are short or long, and short ones come first.
        num_measured = int(rng.integers(1, NUM_MEASURED + 1))
        trials = (draw_trial(field, rng, num_measured) for _ in range(NUM_EXAMPLES + 1))
        *examples, asked = (write_abstract(field.name, trial, field.habit) for trial in trials)
        tasks.append((few_shot_prompt(examples, asked.document), f" {asked.conclusion}"))
    return tasks


def train_few_shot(tokenizer: Any, sizes: SummariesTraining, random_seed: int, training: Training) -> Any:
    """The few-shot cloud: the size of the cloud, as many steps and as many texts per step, longer texts.

    Args:
        tokenizer: of the cloud.
        sizes: of the cloud, which are this model's, too.
        random_seed: of weights, text and mini-batches.
        training: keeps the checkpoints.
    """
    size = sizes.cloud
    model = small_decoder(size.hidden_size, size.num_layers, 4, len(tokenizer), random_seed)
    rows = task_rows(tokenizer, few_shot_tasks(sizes, random_seed))
    random = Random.of(random_seed).child(FEW_SHOT)
    stage = answering_stage(FEW_SHOT, model, (rows,), size, (sizes.rate, sizes.token_rate), random)
    training.train(stage, fingerprint({"tokens": rows[0], "labels": rows[1]}))
    return model.eval()


def tokenizer_of(library: Library, num_tokens: int) -> Any:
    """Pairs of bytes counted in some of the abstracts, and in every prompt as often."""
    some = library.for_edge[:: max(1, len(library.for_edge) // 600)]
    answer = EdgeAnswer(str(template_of(some[0])), "")
    prompts = [cloud_prompt(form, "", answer) for form in FORMS]
    return subword_tokenizer([text for a in some for text in (a.document, _edge_answer(a), *prompts)], num_tokens)


def _forms(
    tokenizer: Any, abstracts: Sequence[StructuredAbstract], said: Sequence[EdgeAnswer]
) -> list[tuple[Tensor, Tensor]]:
    """The same abstracts once in every form, so that the forms have equal shares."""
    pairs = list(zip(abstracts, said, strict=True))
    tasks = ([(cloud_prompt(form, a.document, answer), f" {a.conclusion}") for a, answer in pairs] for form in FORMS)
    return [task_rows(tokenizer, each) for each in tasks]


def _edge_answer(abstract: StructuredAbstract) -> str:
    return edge_completion(str(template_of(abstract)), abstract.conclusion)


def _num_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
