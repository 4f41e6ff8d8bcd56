"""Learning on a GPU, where there is one: the rounds of the processor, and memory as it was counted."""

from __future__ import annotations

import gc
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from gainnet.codecs import Float32
from gainnet.core.randomness import Random
from gainnet.learning import AveragedEdge, Client, Cut, Learning, LocalTraining, Lora, Split, WholeModel
from gainnet.learning.algorithms.fedavg import plain_step
from gainnet.learning.algorithms.methods import Method, SplitLora
from gainnet.learning.clients import cell_of, devices_of
from gainnet.learning.engines.stream import forget_edge
from gainnet.models.language import mean_loss
from gainnet.network import profile
from gainnet.radio import Ideal
from gainnet.studies.language_families.models import build_model
from gainnet.studies.step_memory import SHAPES, DeviceAlone, step_memory

pytestmark = [pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"), pytest.mark.slow]

CUT = Cut(1, head_on_device=True)
METHODS: tuple[Method, ...] = (
    WholeModel(),
    Split(CUT, Float32(), AveragedEdge()),
    Split(CUT),
    Lora(2),
    SplitLora(2, CUT, Float32(), AveragedEdge()),
)


def one_round(method: Method, architecture: str, place: str, **training: Any) -> tuple[Any, float]:
    model = build_model(architecture, "plain", 0).eval().to(place)
    cell = cell_of(devices_of(2), profile("edge_l4"), profile("phone"), (Ideal(),), (Ideal(),))
    generator = Random.of(0).generators("rows")[0]
    clients = [Client(name, torch.from_numpy(generator.integers(3, 50, (8, 12)))) for name in devices_of(2)]
    chosen = LocalTraining(**{"rate": 1e-3, "batch_size": 4, **training})
    algorithm, _ = Learning(method, cell, chosen).bound(model, 12)
    state, _ = algorithm.round(algorithm.init(Random.of(1)), clients, Random.of(1))
    assert {value.device.type for value in state.values()} == {"cpu"}
    return state, mean_loss(algorithm.model_of(state), clients[0].rows)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
@pytest.mark.parametrize("architecture", ["gpt2", "bart", "bert"])
def test_a_round_on_a_gpu_is_that_of_the_processor(method: Method, architecture: str) -> None:
    options = {"num_parts": 2, "dropout": "keyed"}
    (there, loss), (here, expected) = (one_round(method, architecture, place, **options) for place in ("cuda", "cpu"))
    assert loss == pytest.approx(expected, rel=1e-2)
    if not isinstance(method, Split) or isinstance(method.codec, Float32):  # int8 rounds, and rounding can go both ways
        moved = torch.cat([(there[name] - here[name]).flatten() for name in here])
        # Adam's first steps are of one size whatever the gradient, so that rounding can flip small ones.
        assert float(moved.abs().double().mean()) < 1e-4


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_bfloat16_reaches_a_like_loss(method: Method) -> None:
    (_, loss), (_, expected) = (one_round(method, "llama", "cuda", precision=p) for p in ("bf16", "float32"))
    assert loss == pytest.approx(expected, rel=3e-2)


def largest(parameters: Any, step: Any) -> float:
    """Bytes at the largest moment of a step and Adam's, by the allocator of the GPU."""
    optimizer = torch.optim.AdamW(parameters, weight_decay=0.0, fused=True)
    for _ in range(2):
        step()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
    return float(torch.cuda.max_memory_allocated())


def peak_of(name: str, side: str) -> float:
    """Of the whole model, or of the device's part of a cut, alone on the GPU."""
    shape = SHAPES[name]
    rows = torch.zeros(shape.batch_size, shape.row_length, dtype=torch.long)
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    model = shape.build().eval()
    if side == "whole":
        model.cuda()
        return largest(model.parameters(), partial(plain_step, model, rows))
    alone = DeviceAlone.of(model, Cut(0, head_on_device=side == "u_shape"), rows)
    forget_edge(alone.split)
    for segment in alone.segments:
        segment.cuda()
    given = replace(alone, tokens=alone.tokens.cuda(), labels=alone.labels.cuda())
    return largest(given.split.parameters("device"), given.step)


def peaks(name: str) -> dict[str, tuple[float, float]]:
    """(counted, measured) bytes of the whole model and of the device of both cuts."""
    counted = step_memory(name)
    sides = ("whole", "embedding_only", "u_shape")
    return {side: (counted[f"peak_bytes.{side}"], peak_of(name, side)) for side in sides}


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_memory_of_a_gpu_is_that_of_the_tracker(name: str) -> None:
    found = peaks(name)
    for side, (counted, measured) in found.items():
        assert counted == pytest.approx(measured, rel=0.1, abs=80e6), side
    ratio, wanted = (found["u_shape"][k] / found["whole"][k] for k in (0, 1))
    assert ratio == pytest.approx(wanted, rel=0.1)
