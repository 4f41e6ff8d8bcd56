"""Adapters on both sides of a cut, precision, dropout, and parts of a mini-batch, over a cut and without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from gainnet.codecs import Float32
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.learning import AveragedEdge, Client, Cut, Learning, LocalTraining, Split, WholeModel
from gainnet.learning.algorithms.adapters import attach
from gainnet.learning.algorithms.algorithm import State
from gainnet.learning.algorithms.methods import Lora, Method, SoftPrompt, SplitLora
from gainnet.models.language import mean_loss
from gainnet.network import Network
from gainnet.studies.language_families.models import build_model

CUT = Cut(1, head_on_device=True)


def one_round(method: Method, model: Any, network: Network, clients: Any, **training: Any) -> State:
    chosen = LocalTraining(**{"optimizer": "sgd", "rate": 0.1, "num_steps": 2, "batch_size": 4, **training})
    algorithm, _ = Learning(method, network, chosen).bound(model, clients[0].rows.shape[1])
    random = Random.of(2)
    return algorithm.round(algorithm.init(random), clients, random)[0]


def small_rows(model: Any, count: int = 8, length: int = 12) -> torch.Tensor:
    return torch.from_numpy(
        Random.of(0).generators("rows")[0].integers(3, model.config.vocab_size - 1, (count, length))
    )


@pytest.fixture
def alone(clients: tuple[Client, ...]) -> list[Client]:
    return [Client(clients[0].name, small_rows(build_model("llama", "plain", 0)))]


@pytest.mark.slow
def test_adapters_over_a_cut_train_as_without_one(network: Callable[..., Network], alone: list[Client]) -> None:
    exact = SplitLora(2, CUT, Float32(), AveragedEdge())
    cut = one_round(exact, build_model("llama", "plain", 0).eval(), network(), alone)
    adapted = attach(build_model("llama", "plain", 0).eval(), "lora", 2)
    start = {n: p.detach().clone() for n, p in adapted.named_parameters() if p.requires_grad}
    whole = one_round(WholeModel(), adapted, network(), alone)
    assert set(cut) == set(whole) == set(start)
    for name, value in whole.items():
        torch.testing.assert_close(cut[name], value, rtol=0, atol=1e-6)
    assert any(not torch.equal(start[name], value) for name, value in whole.items())


@pytest.mark.slow
def test_only_factors_of_the_device_cross(network: Callable[..., Network], alone: list[Client]) -> None:
    training = LocalTraining(batch_size=4)
    cost = Learning(SplitLora(), network(), training).bound(build_model("llama", "plain", 0), 12)[1]
    assert 0 < cost.device_trained_bytes < 0.5 * cost.device_parameter_bytes
    with pytest.raises(ConfigError, match=r"^cut: u_shape leaves the device no block to adapt; give u_shape\+1$"):
        Learning(SplitLora(cut=Cut(0, True)), network(), training).bound(build_model("llama", "plain", 0), 12)


@pytest.mark.slow
@pytest.mark.parametrize("cut", [Cut(0), pytest.param(Cut(1, True), marks=pytest.mark.slow)])
def test_parts_over_a_cut_take_the_step_of_the_batch(
    cut: Cut, network: Callable[..., Network], alone: list[Client]
) -> None:
    # Embeddings are tied, so that their gradients are summed across the cut, part by part.
    method = Split(cut, Float32(), AveragedEdge())
    whole, parts = (
        one_round(method, build_model("gpt2", "plain", 0).eval().double(), network(), alone, num_parts=count)
        for count in (1, 2)
    )
    for name, value in whole.items():
        # What crosses is float32.
        torch.testing.assert_close(parts[name], value, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_dropout_is_the_same_over_a_cut(network: Callable[..., Network], alone: list[Client]) -> None:
    exact = Split(CUT, Float32(), AveragedEdge())
    states = [
        one_round(method, build_model("gpt2", "odd", 0).eval(), network(), alone, dropout=dropout)
        for method, dropout in ((exact, "keyed"), (WholeModel(), "keyed"), (WholeModel(), "off"))
    ]
    for name, value in states[1].items():
        torch.testing.assert_close(states[0][name], value, rtol=0, atol=1e-6)
    assert any(not torch.allclose(states[2][name], value, atol=1e-4) for name, value in states[1].items())


@pytest.mark.slow
@pytest.mark.parametrize("method", [pytest.param(WholeModel(), marks=pytest.mark.slow), Split(CUT)])
def test_bfloat16_learns_and_keeps_weights_in_float32(
    method: Method, network: Callable[..., Network], alone: list[Client]
) -> None:
    model = build_model("llama", "plain", 0).eval()
    before = mean_loss(model, alone[0].rows)
    state = one_round(method, model, network(), alone, precision="bf16", num_steps=6)
    assert {value.dtype for value in state.values()} == {torch.float32}
    with torch.no_grad():
        for name, value in state.items():
            model.get_parameter(name).copy_(value)
    assert mean_loss(model, alone[0].rows) < before


def test_unequal_parts_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^num_parts: 3 parts of 8 rows are not equal; give a divisor$"):
        LocalTraining(num_parts=3)


def test_virtual_tokens_take_positions(network: Callable[..., Network]) -> None:
    with pytest.raises(ConfigError, match=r"^rank: 8 virtual tokens before 30 are beyond the 32 .*; give 2 or"):
        Learning(SoftPrompt(8), network()).bound(build_model("gpt2", "plain", 0), 30)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "architecture"), [(Lora(1), "mamba"), (SoftPrompt(2), "opt"), (Lora(1), "mixture")])
def test_unusual_models_take_adapters(
    method: Method, architecture: str, network: Callable[..., Network], alone: list[Client]
) -> None:
    # Odd ones: OPT's embeddings are narrower than its blocks.
    model = build_model(architecture, "odd", 0).eval()
    state = one_round(method, model, network(), alone)
    assert all(bool(value.isfinite().all()) for value in state.values())
    if architecture == "mixture":
        assert any(".experts." in name for name in state)
        with pytest.raises(ConfigError, match=r"^merging: .* is of several experts; choose factors or frozen"):
            one_round(Lora(1, "svd"), build_model(architecture, "odd", 0).eval(), network(), alone)


@pytest.mark.parametrize("architecture", ["bert", "vit"])
def test_models_that_write_nothing_take_no_virtual_tokens(architecture: str, network: Callable[..., Network]) -> None:
    length = 193 if architecture == "vit" else 12
    with pytest.raises(ConfigError, match=r"^form: soft_prompt does not fit .* take no virtual tokens"):
        Learning(SoftPrompt(2), network()).bound(build_model(architecture, "plain", 0), length)


@pytest.mark.parametrize(
    "method", [WholeModel(), *(pytest.param(m, marks=pytest.mark.slow) for m in (Split(CUT), Lora(1)))]
)
def test_a_vision_transformer_learns_from_pictures(
    method: Method, network: Callable[..., Network], clients: tuple[Client, ...]
) -> None:
    model = build_model("vit", "plain", 0).eval()
    classes = torch.arange(10)[:, None] % 5
    # A class is how bright a picture is.
    rows = torch.cat([classes, classes + 0.1 * torch.randn(10, 192)], dim=1)
    algorithm, _ = Learning(method, network(), LocalTraining(rate=1e-2, num_steps=10)).bound(model, 193)
    random = Random.of(2)
    state = algorithm.init(random)
    before = mean_loss(algorithm.model_of(state), rows)
    state, report = algorithm.round(state, [Client(clients[0].name, rows)], random)
    assert mean_loss(algorithm.model_of(state), rows) < before
    assert report.num_bits_of("up") > 0
