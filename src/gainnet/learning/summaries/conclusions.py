"""Conclusions of trials: an edge-end model grown on its clients, a cloud, and what each writes alone and together.

devices (abstracts of a field) --split or prompt learning--> edge-end model --template, draft--> prompt --> cloud
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final

import torch

from gainnet.core.errors import ConfigError
from gainnet.learning.runner import run_rounds
from gainnet.learning.session import Learning
from gainnet.models.trials.abstract import StructuredAbstract
from gainnet.models.trials.answering import answer_tokens, answers, task_rows
from gainnet.models.trials.prompts import (
    FORMS,
    EdgeAnswer,
    cloud_prompt,
    edge_completion,
    edge_prompt,
    read_edge_answer,
)
from gainnet.models.trials.template import template_of

EDGE_ALONE = "edge_alone"
ARMS = (*FORMS, EDGE_ALONE)
"""Who writes: the cloud alone, with a Part prompt, with a Full prompt, or the edge-end model alone."""
MAX_ANSWER_TOKENS = 96
NUM_HELD_BACK = 8
"""Abstracts of the field that no client trains on and whose loss every round reports."""


@final
@dataclass(frozen=True)
class Completion:
    """A conclusion that a cloud wrote, and the tokens it took.

    Args:
        text: of the conclusion.
        num_prompt_tokens: of its own tokenizer; `None` where the cloud does not say.
        num_completion_tokens: likewise.
        flaw: why the conclusion is empty or cut, as an endpoint says, for example `length` or `refusal`; else "".
    """

    text: str
    num_prompt_tokens: int | None
    num_completion_tokens: int | None
    flaw: str = ""

    @property
    def num_tokens(self) -> int | None:
        """Prompt and completion."""
        if self.num_prompt_tokens is None or self.num_completion_tokens is None:
            return None
        return self.num_prompt_tokens + self.num_completion_tokens


class Cloud(Protocol):
    """A model that completes prompts."""

    def complete(self, prompts: Sequence[str]) -> list[Completion]:
        """One completion per prompt, in their order."""


@final
@dataclass(frozen=True, eq=False)
class LocalCloud:
    """A causal model in this process.

    Args:
        model: of transformers.
        tokenizer: its own.
        max_tokens: of a completion.
    """

    model: Any
    tokenizer: Any
    max_tokens: int = MAX_ANSWER_TOKENS

    def complete(self, prompts: Sequence[str]) -> list[Completion]:
        """As `Cloud.complete`; the likeliest token each time."""
        found = []
        written = answer_tokens(self.model, self.tokenizer, prompts, self.max_tokens)
        for prompt, ids in zip(prompts, written, strict=True):
            text = " ".join(self.tokenizer.decode(ids, skip_special_tokens=True).split())
            num_prompt_tokens = len(self.tokenizer(prompt, add_special_tokens=False)["input_ids"])
            # The end of a text is a token, too, unless the limit has cut it off.
            found.append(Completion(text, num_prompt_tokens, min(len(ids) + 1, self.max_tokens)))
        return found


@final
@dataclass(frozen=True, eq=False)
class EdgeEnd:
    """A model of a field, as it stands at the edge.

    Args:
        model: causal.
        tokenizer: its own.
        cost: of its rounds, added up: bits, seconds, joules.
    """

    model: Any
    tokenizer: Any
    cost: Mapping[str, float]

    def answer(self, documents: Sequence[str]) -> list[EdgeAnswer]:
        """Template and draft of each document."""
        prompts = [edge_prompt(document) for document in documents]
        return [read_edge_answer(text) for text in answers(self.model, self.tokenizer, prompts, MAX_ANSWER_TOKENS)]


def edge_tasks(abstracts: Sequence[StructuredAbstract]) -> list[tuple[str, str]]:
    """(prompt, completion) of what an edge-end model learns: the template of the authors' conclusion, and its words."""
    return [(edge_prompt(a.document), edge_completion(str(template_of(a)), a.conclusion)) for a in abstracts]


def growing_edge_end(
    foundation: Any,
    tokenizer: Any,
    abstracts: Sequence[StructuredAbstract],
    learning: Learning,
    after_rounds: Sequence[int],
) -> Iterator[EdgeEnd]:
    """An edge-end model as it grows: rounds of split or prompt learning with the devices that hold its abstracts.

    Devices learn template and conclusion; what stands in a document is given, and is not learned.

    Args:
        foundation: what the rounds start from; is not changed.
        tokenizer: its own.
        abstracts: of the field; all but the last few are dealt to the clients.
        learning: method, devices, training and air.
        after_rounds: rounds after which the model is handed out, each more than the one before.

    Raises:
        ConfigError: there are fewer abstracts than clients and what is held back.
    """
    num_clients = len(learning.devices)
    if len(abstracts) < num_clients + NUM_HELD_BACK:
        raise ConfigError(
            f"abstracts: {len(abstracts)} of the field are too few for {num_clients} clients and {NUM_HELD_BACK} "
            "to test; give more, or fewer clients"
        )
    rows = torch.stack(task_rows(tokenizer, edge_tasks(abstracts)), 1)
    clients = learning.deal([rows[:-NUM_HELD_BACK]], "edge-end")
    algorithm, _ = learning.bound(copy.deepcopy(foundation), rows.shape[-1])
    names = ("num_bits_up", "num_bits_down", "duration_s", "energy_j")
    # The runner goes on from its own checkpoint, so that growing further repeats no round.
    with tempfile.TemporaryDirectory() as folder:
        for count in after_rounds:
            held_back, seed = rows[-NUM_HELD_BACK:], learning.random_seed
            run = run_rounds(algorithm, clients, held_back, count, seed, Path(folder))
            cost = {name: float(sum(record[name] for record in run.rounds)) for name in names}
            # A copy, because the algorithm's model is scratch until the next call.
            yield EdgeEnd(copy.deepcopy(algorithm.model_of(run.state)).eval(), tokenizer, cost)


def conclude(arm: str, documents: Sequence[str], said: Sequence[EdgeAnswer], cloud: Cloud) -> list[Completion]:
    """Conclusions of an arm about each document.

    Args:
        arm: one of `ARMS`.
        documents: without their conclusions.
        said: by the edge-end model about each.
        cloud: not used where the edge-end model writes alone.
    """
    if arm == EDGE_ALONE:
        return [Completion(answer.draft, None, None) for answer in said]
    return cloud.complete([cloud_prompt(arm, d, answer) for d, answer in zip(documents, said, strict=True)])
