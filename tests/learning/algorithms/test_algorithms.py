"""What federated algorithms must be: plain training for one, blind to order, deaf to those who fall away."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from gainnet.catalog.learning import cut_of
from gainnet.codecs.activations import Int8, TopK
from gainnet.codecs.raw import Float32
from gainnet.core.errors import ConfigError, PlanError
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.algorithm import Algorithm, load_values, values_of
from gainnet.learning.algorithms.costs import StepCost, split_step_cost, whole_step_cost
from gainnet.learning.algorithms.fedavg import FedAvg, plain_step
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.algorithms.fsl import AveragedEdge, SharedEdge, SplitLearning
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.exchange import PRIVATE, Exchange
from gainnet.learning.split.model import Cut
from gainnet.models.language import small_decoder
from gainnet.network import EDGE, Network
from gainnet.radio import AWGN, Air, Arq, Ideal, Reports, Tabulated
from gainnet.wire.frames import to_bytes

TEXTS = ("embedding_only", "u_shape", "u_shape+1", "u_shape+2", "embedding_only+1")
CUTS = {text: cut_of(text) for text in TEXTS}
ROWS = torch.zeros(4, 24, dtype=torch.long)
NAMES = ("fedavg", "shared", "averaged", "soft_prompt", "lora", "adapter")
ONE_EACH = [n if n in ("shared", "lora") else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
"""Split learning, whose clients come one after the other, and one of those that average."""
Make = Callable[..., Network]


@cache
def costs_of_cuts(config: str) -> dict[str, StepCost]:
    """Costs by cut of a model with everything trainable; only its configuration decides them."""
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig.from_dict(json.loads(config)))
    return {text: split_step_cost(model, cut, ROWS) for text, cut in CUTS.items()}


@cache
def cost_of_whole(config: str) -> StepCost:
    """Cost of a model with everything trainable, which only its configuration decides."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return whole_step_cost(LlamaForCausalLM(LlamaConfig.from_dict(json.loads(config))), ROWS)


def algorithm(name: str, model: Any, network: Network, **changes: Any) -> Any:
    training = changes.pop("training", LocalTraining("sgd", 0.1, 2, 4))
    common = {"model": model, "network": network, "training": training} | changes
    if name in ("shared", "averaged"):
        common = {
            "cost_of_cut": costs_of_cuts(model.config.to_json_string()),
            "cut": Cut(0, True),
            "codec": Float32(),
        } | common
        return SplitLearning(edge=SharedEdge(training.rate) if name == "shared" else AveragedEdge(), **common)
    cost = cost_of_whole(model.config.to_json_string())
    if name == "fedavg":
        return FedAvg(cost=cost, **common)
    return Fpl(**{"cost": cost, "form": name, "size": 2, "dtype": torch.float32} | common)


def close(a: Any, b: Any, tolerance: float = 1e-6) -> None:
    assert set(a) == set(b)
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=tolerance, msg=name)


def differ(a: Any, b: Any) -> bool:
    return any(not torch.equal(a[name], b[name]) for name in a)


def plain(model: Any, training: LocalTraining, client: Client, random: Random) -> dict[str, Tensor]:
    model = copy.deepcopy(model)
    optimizer = training.start(model.parameters())
    for step in range(training.num_steps):
        plain_step(model, training.batch(client, random, step))
        optimizer.step()
        optimizer.zero_grad()
    return values_of(model)


@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adamw", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["fedavg", "shared", "averaged"])
def test_one_client_is_plain_training(
    name: str, optimizer: Any, model: Any, clients: Any, network: Make, random: Random
) -> None:
    training = LocalTraining(optimizer, 0.1 if optimizer == "sgd" else 1e-3, 3, 4)
    wanted = plain(model, training, clients[0], random)
    one = algorithm(name, model, network(), training=training)
    state, _ = one.round(one.init(random), clients[:1], random)
    # Adam divides by the gradient's own size, so that rounding to float32 on the air shows where gradients vanish.
    close({n: state[n] for n in wanted}, wanted, 1e-6 if optimizer == "sgd" else 3e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_EACH)
def test_the_order_of_clients_changes_nothing(
    name: str, model: Any, clients: Any, network: Make, random: Random
) -> None:
    subject: Algorithm = algorithm(name, model, network((Tabulated(Air(AWGN(), 8.0)),), (Tabulated(Air(AWGN(), 8.0)),)))
    start = {n: x.clone() for n, x in subject.init(random).items()}
    forth, cost = subject.round(start, clients[:2], random)
    forth = {n: x.clone() for n, x in forth.items()}
    back, same_cost = subject.round(start, clients[1::-1], random)
    close(forth, back, 0.0)
    assert cost == same_cost
    assert differ({n: forth[n] for n in start}, start)


@pytest.mark.parametrize("name", ONE_EACH)
def test_who_falls_away_changes_nothing_but_its_own_weight(name: str, model: Any, clients: Any, network: Make) -> None:
    drops = Participation(drop_out=0.5)
    for seed in range(50):
        random = Random.of(seed)
        lost = [drops.steps_before_loss(client, 3, random) for client in clients]
        if [step is None for step in lost] == [True, False, True] and lost[1]:
            break
    steps = LocalTraining("sgd", 0.1, 3, 4)
    subject, calm = (
        algorithm(name, model, network(), participation=p, training=steps) for p in (drops, Participation())
    )
    start = {n: x.clone() for n, x in calm.init(random).items()}
    with_loss, cost = subject.round(start, clients, random)
    with_loss = {n: x.clone() for n, x in with_loss.items()}
    without, _ = calm.round(start, (clients[0], clients[2]), random)
    close(with_loss, without, 0.0)
    assert any("device_1" in step.label and step.flops > 0 for step in cost.steps)


@pytest.mark.slow
def test_averaged_parts_are_fedavg(model: Any, clients: Any, network: Make, random: Random) -> None:
    """In exact arithmetic; one architecture, every cut, also cuts that differ from client to client."""
    wanted = algorithm("fedavg", model, network())
    start = {n: x.clone() for n, x in wanted.init(random).items()}
    state, _ = wanted.round(start, clients, random)
    for cut in (CUTS["embedding_only"], CUTS["u_shape+1"]):
        averaged, _ = algorithm("averaged", model, network(), cut=cut).round(start, clients, random)
        close(averaged, state)
    mixed = tuple(replace(c, cut=cut) for c, cut in zip(clients, CUTS.values(), strict=False))
    close(algorithm("averaged", model, network()).round(start, mixed, random)[0], state)


@pytest.mark.slow
def test_a_tied_model_stays_tied_when_parts_are_averaged(clients: Any, network: Make, random: Random) -> None:
    from transformers import LlamaForCausalLM

    config = copy.deepcopy(small_decoder(16, 3, 2).config)
    config.tie_word_embeddings = True
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    whole = algorithm("fedavg", model, network())
    start = {n: x.clone() for n, x in whole.init(random).items()}
    wanted, _ = whole.round(start, clients, random)
    averaged = algorithm("averaged", model, network(), cut=Cut())
    state, cost = averaged.round(start, clients, random)
    close(state, wanted)
    assert any("tied_gradients" in step.label for step in cost.steps)
    with pytest.raises(ConfigError, match="ties weights"):
        algorithm("shared", model, network(), cut=Cut())


@pytest.mark.slow
def test_a_shared_edge_with_cuts_of_their_own(model: Any, clients: Any, network: Make, random: Random) -> None:
    mixed = tuple(replace(c, cut=cut) for c, cut in zip(clients, (Cut(2, True), Cut(0, True), Cut(1)), strict=True))
    subject = algorithm("shared", model, network(), codec=Int8(), training=LocalTraining("adamw", 3e-3, 3, 4))
    state, _ = subject.round(subject.init(random), mixed, random)
    before = {c.name: loss(model, subject.init(random), c) for c in clients}
    for _ in range(4):
        state, _ = subject.round(state, mixed, random)
    assert all(loss(model, subject.model_of(state) and values_of(model), c) < before[c.name] for c in clients)


def loss(model: Any, values: Any, client: Client) -> float:
    from gainnet.models.language import mean_loss

    load_values(model, values)
    return mean_loss(model, client.rows)


@pytest.mark.slow
def test_ranks_that_differ_give_the_mean_of_products(model: Any, clients: Any, network: Make, random: Random) -> None:
    from gainnet.learning.algorithms.adapters import attach, load_adapter, values_of_adapter
    from gainnet.learning.algorithms.fedavg import train_locally
    from gainnet.learning.algorithms.merging import low_rank, updates_of

    ranked = tuple(replace(c, rank=r) for c, r in zip(clients, (1, 2, 3), strict=True))
    subject = algorithm("lora", model, network(), size=8)
    state = subject.init(random)
    found, _ = subject.round(state, ranked, random)
    total, wanted = sum(c.weight for c in ranked), {}
    for client in ranked:
        single = attach(model, "lora", client.rank or 0)
        load_adapter(single, low_rank(updates_of(state), client.rank or 0))
        train_locally(single, subject.training, client, subject.training.num_steps, random)
        for name, update in updates_of(values_of_adapter(single)).items():
            wanted[name] = wanted.get(name, 0) + client.weight / total * update
    close(updates_of(found), wanted)
    prompts = algorithm("soft_prompt", small_decoder(16, 3, 2), network())
    with pytest.raises(ConfigError, match="rank"):
        prompts.round(prompts.init(random), ranked, random)


@pytest.mark.parametrize(
    "name", [n if n in ("fedavg", "shared", "lora") else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
)
def test_the_backbone_of_prompt_learning_is_locked(
    name: str, model: Any, clients: Any, network: Make, random: Random
) -> None:
    before = values_of(model)
    subject = algorithm(name, model, network(), training=LocalTraining("adamw", 1e-2, 1, 4))
    start = {n: x.clone() for n, x in subject.init(random).items()}
    state, _ = subject.round(start, clients, random)
    assert differ({n: state[n] for n in start}, start)
    assert differ(before, values_of(model)) == (name in ("fedavg", "shared", "averaged"))


def test_bits_are_those_of_the_files_that_crossed(model: Any, clients: Any, network: Make, random: Random) -> None:
    subject = algorithm("fedavg", model, network())
    state, report = subject.round(subject.init(random), clients, random)
    file_bits = 8 * len(to_bytes({"values": torch.cat([x.flatten() for x in state.values()])}))
    assert [step.num_bits for step in report.steps if step.num_bits] == [file_bits] * (1 + len(clients))
    lora = algorithm("lora", model, network(), dtype=torch.float16)
    state, report = lora.round(lora.init(random), clients, random)
    file_bits = 8 * len(to_bytes({"values": torch.cat([x.half().flatten() for x in state.values()])}))
    assert [step.num_bits for step in report.steps if step.num_bits] == [file_bits] * (1 + len(clients))


def test_activations_cost_what_the_codec_says(model: Any, clients: Any, network: Make, random: Random) -> None:
    training = LocalTraining("sgd", 0.1, 2, 4)
    values = 24 * 16
    for codec, bits in ((Float32(), 32 * values), (Int8(), 8 * values + 32 * 24)):
        subject = algorithm("shared", model, network(), codec=codec, training=training)
        _, report = subject.round(subject.init(random), clients[:1], random)
        crossed = [s for s in report.steps if s.label.startswith(("activations", "gradients"))]
        assert [s.num_bits for s in crossed] == [4 * bits] * (2 * 4)
        assert [s.direction for s in crossed[:4]] == ["up", "down", "up", "down"]


@pytest.mark.slow
def test_codecs_that_lose_still_learn(model: Any, clients: Any, network: Make, random: Random) -> None:
    # Failed codewords anew, as rounds of learning send them: the planned redundancy of the default loses whole files.
    air = (Tabulated(Air(AWGN(), 8.0, reports=Reports(1.0)), arq=Arq(max_attempts=3, harq="none")),)
    for codec in (Int8(), TopK(0.3)):
        subject = algorithm(
            "shared", model, network(air, air), codec=codec, training=LocalTraining("adamw", 3e-3, 3, 4)
        )
        state, lost = subject.init(random), 0
        before = loss(model, state, clients[0])
        for index in range(4):
            state, report = subject.round(state, clients, Random.of(index))
            lost += sum(not step.delivered for step in report.steps)
        assert lost > 0
        subject.model_of(state)
        assert loss(model, values_of(model), clients[0]) < before


@pytest.mark.slow
def test_who_is_too_late_does_not_count(model: Any, clients: Any, network: Make, random: Random) -> None:
    air = (Tabulated(Air(AWGN(), 10.0)),)
    calm = algorithm("fedavg", model, network(air, air))
    start = {n: x.clone() for n, x in calm.init(random).items()}
    _, report = calm.round(start, clients, random)
    uploads = sorted(s.stop_s for s in report.steps if s.direction == "up")
    for name in ("fedavg", "shared", "lora"):
        late = algorithm(name, copy.deepcopy(model), network(air, air), participation=Participation(deadline_s=1e-6))
        before = late.init(random)
        state, _ = late.round(before, clients, random)
        close({n: state[n] for n in before}, before, 0.0)
    half = algorithm("fedavg", model, network(air, air), participation=Participation(deadline_s=uploads[0] + 1e-9))
    some, _ = half.round(start, clients, random)
    first = min((s for s in report.steps if s.direction == "up"), key=lambda s: s.stop_s).label.split()[1]
    one, _ = algorithm("fedavg", model, network()).round(start, [c for c in clients if c.name == first], random)
    close(some, one, 0.0)


def test_only_some_take_part(model: Any, clients: Any, network: Make, random: Random) -> None:
    few = LocalTraining("sgd", 0.1, 1, 2)
    subject = algorithm("fedavg", model, network(), participation=Participation(share=0.3), training=few)
    served = set()
    for seed in range(12):
        _, report = subject.round(subject.init(random), clients, Random.of(seed))
        (label,) = [s.label for s in report.steps if s.direction == "up"]
        served.add(label)
    assert len(served) == 3


def test_nothing_else_crosses(network: Make, random: Random) -> None:
    exchange = Exchange(network(), random, PRIVATE)
    for kind in ("tokens", "text", "labels", "prompt"):
        with pytest.raises(PlanError, match="may not cross"):
            exchange.send_until(kind, "device_0", EDGE, {"a": torch.zeros(2)})  # type: ignore[arg-type]
    assert exchange.report().steps == ()
    assert exchange.send_until("metrics", "device_0", EDGE, {"a": torch.zeros(2)})[0] is not None  # type: ignore[arg-type]


def test_private_cuts_may_not_send_labels(model: Any, clients: Any, network: Make, random: Random) -> None:
    for cut, labels in ((Cut(0, True), 0), (Cut(), 4)):
        subject = algorithm("shared", model, network(), cut=cut)
        _, report = subject.round(subject.init(random), clients[:2], random)
        assert sum(step.label.startswith("labels") for step in report.steps) == labels


def test_devices_train_side_by_side(model: Any, clients: Any, network: Make, random: Random) -> None:
    subject = algorithm("fedavg", model, network((Ideal(),), (Ideal(),)))
    _, one = subject.round(subject.init(random), clients[:1], random)
    _, all_of_them = subject.round(subject.init(random), clients, random)
    assert all_of_them.duration_s == pytest.approx(one.duration_s)
    assert all_of_them.energy_j == pytest.approx(3 * one.energy_j)
    assert EDGE == "edge"
