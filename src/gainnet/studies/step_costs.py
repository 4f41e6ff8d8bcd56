"""Processor time of steps of learning: private ones over plain ones, and rounds over the steps that they make."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from gainnet.catalog.learning import open_model
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.adapters import attach
from gainnet.learning.algorithms.algorithm import State
from gainnet.learning.algorithms.costs import StepCost
from gainnet.learning.algorithms.fedavg import FedAvg, plain_step
from gainnet.learning.clients import Client, LocalTraining, cell_of, devices_of
from gainnet.learning.safeguards.noise import Entropy
from gainnet.learning.safeguards.privacy import PrivateSteps
from gainnet.models.language import inputs_of, loss_of, task_of
from gainnet.network import profile
from gainnet.radio import Ideal

_STEPS_OF_A_ROUND = 4


@final
@dataclass(frozen=True)
class StepSize:
    """A step that is measured.

    Args:
        batch_size: rows, as expected of a private step.
        row_length: tokens per row.
        num_rows: of the client; a private step draws each with probability batch_size / num_rows.
        num_pairs: of a plain and a private step, at least as many.
        rank: of LoRA.
    """

    batch_size: int
    row_length: int
    num_rows: int
    num_pairs: int = 24
    rank: int = 4


def shape_of(name: str) -> Any:
    """A model of a shape: `toy` is the shipped one, `gpt2` has 124 million random weights.

    >>> shape_of("toy").config.model_type
    'llama'
    """
    if name == "toy":
        return open_model("abstracts")[0]
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GPT2LMHeadModel(GPT2Config()).eval()


def private_step(shape: str, size: StepSize, random: Random) -> dict[str, float]:
    """Processor time of whole private steps and of plain ones, in turns, on LoRA of a model.

    A private step draws its rows, clips, adds noise from the kernel and moves by the optimizer. A plain step beside it
    takes as many rows as the private one has drawn: the same on average, and less spread than that average alone gives.

    Args:
        shape: name of the model.
        size: of the steps.
        random: draws text and plain batches.
    """
    model = shape_of(shape)
    tokens = random.generators("rows")[0].integers(model.config.vocab_size, size=(size.num_rows, size.row_length))
    client, training = (
        Client(devices_of(1)[0], torch.from_numpy(tokens)),
        LocalTraining("adamw", 1e-4, _STEPS_OF_A_ROUND, size.batch_size),
    )
    adapted, rate = attach(model, "lora", size.rank), size.batch_size / size.num_rows
    spent = dict[str, list[float]](plain=[], private=[])
    num_rounds = math.ceil(size.num_pairs / _STEPS_OF_A_ROUND)
    for pair in range(-1, num_rounds):
        samples = [Entropy().sample(size.num_rows, rate, random) for _ in range(_STEPS_OF_A_ROUND)]
        steps = PrivateSteps(1.0, 1.0, rate, _Drawn(tuple(samples)))
        plain = [replace(training, batch_size=max(1, int(taken.sum()))) for taken in samples]
        # In turns, and the order of two changes: a processor that is shared slows both alike.
        runs: list[tuple[str, Callable[[], None]]] = [
            ("plain", partial(_plain_steps, adapted, plain, client, random.child(pair + 1))),
            ("private", partial(steps, adapted, training, client, _STEPS_OF_A_ROUND, random)),
        ]
        for kind, step in runs if pair % 2 else runs[::-1]:
            began = time.process_time()
            step()
            spent[kind].append(time.process_time() - began)
    times = {f"measured_{kind}_step_s": _usual(each) / _STEPS_OF_A_ROUND for kind, each in spent.items()}
    return {"num_pairs": num_rounds * _STEPS_OF_A_ROUND} | times


def _plain_steps(model: Any, trainings: Sequence[LocalTraining], client: Client, random: Random) -> None:
    """As `train_locally`, with a batch size for each step."""
    optimizer = trainings[0].start([p for p in model.parameters() if p.requires_grad])
    for step, training in enumerate(trainings):
        plain_step(model, training.batch(client, random, step))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


@final
@dataclass(frozen=True)
class _Drawn:
    """Noise of the kernel, and samples that were drawn before, so that a plain step can take as many rows.

    Args:
        samples: [num_rows] bool each, in the order of the steps.
    """

    samples: tuple[Tensor, ...]
    private: ClassVar[bool] = True
    _num_used: list[int] = field(default_factory=lambda: [0])

    def noised(self, totals: State, std: float, random: Random, dtype: torch.dtype) -> dict[str, Tensor]:
        """As `Noise.noised`."""
        return Entropy().noised(totals, std, random, dtype)

    def sample(self, count: int, rate: float, random: Random) -> Tensor:
        """As `Noise.sample`; drawing is part of the step, so that it is drawn once more."""
        Entropy().sample(count, rate, random)
        self._num_used[0] += 1
        return self.samples[self._num_used[0] - 1]


def fedavg_round(num_pairs: int, training: LocalTraining, random: Random) -> dict[str, float]:
    """Processor time of rounds of FedAvg with four clients, and of as many plain steps of PyTorch, in turns.

    Args:
        num_pairs: how often.
        training: of a client in a round.
        random: draws text and batches.
    """
    model, names = shape_of("toy"), devices_of(4)
    cell = cell_of(names, profile("edge_l4"), profile("phone"), (Ideal(),), (Ideal(),))
    tokens = torch.from_numpy(random.generators("rows")[0].integers(model.config.vocab_size, size=(4 * 64, 72)))
    clients = [Client(name, rows) for name, rows in zip(names, tokens.split(64), strict=True)]
    algorithm, spent = FedAvg(model, cell, training, StepCost(0, 0, 0, 0, 0)), dict[str, list[float]]()
    state = algorithm.init(random)

    def plain() -> None:
        for client in clients:
            optimizer = torch.optim.AdamW(model.parameters(), training.rate, weight_decay=0.0)
            for _ in range(training.num_steps):
                rows = client.rows[torch.randint(len(client.rows), (training.batch_size,))]
                given, labels = task_of(model, rows)
                loss_of(model, model(**inputs_of(model, given, labels), use_cache=False).logits, labels).backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

    for pair in range(-1, num_pairs):
        runs: list[tuple[str, Callable[[], Any]]] = [
            ("round", lambda: algorithm.round(state, clients, random)),
            ("steps", plain),
        ]
        for kind, run in runs if pair % 2 else runs[::-1]:
            began = time.process_time()
            run()
            spent.setdefault(kind, []).append(time.process_time() - began)
    return {"num_pairs": num_pairs} | {f"measured_{kind}_s": _usual(each) for kind, each in spent.items()}


def _usual(times: Sequence[float]) -> float:
    """The median of all but the first, which takes memory from the system that later ones find there."""
    return statistics.median(times[1:])
