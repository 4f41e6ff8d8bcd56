"""Privacy: clipping and noise against their definitions, and no release twice."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.adapters import attach
from gainnet.learning.algorithms.fedavg import plain_step
from gainnet.learning.clients import Client, LocalTraining
from gainnet.learning.safeguards.privacy import (
    NoisyMean,
    PoissonChoice,
    PrivateMean,
    PrivateSteps,
    clip,
)
from gainnet.learning.safeguards.releases import Releases
from gainnet.learning.safeguards.rows import Apart


def test_one_client_moves_the_sum_by_the_clipping_norm_at_most() -> None:
    """The sensitivity that the accountant is told, with honest and with huge updates."""
    start = {"a": torch.zeros(50)}
    rule = PrivateMean(NoisyMean(0.7, 0.0, 4))
    others = [(Client(NodeId(f"c{i}"), torch.zeros(2, 2)), {"a": Random.of(i).normal((50,), "x")}) for i in range(3)]
    for size in (0.01, 1.0, 1e6):
        one = (Client(NodeId("z"), torch.zeros(2, 2)), {"a": size * Random.of(9).normal((50,), "x")})
        with_it = rule(start, [*others, one], Random.of(0)).state["a"].double()
        without = rule(start, others, Random.of(0)).state["a"].double()
        assert float((4 * (with_it - without)).norm()) <= 0.7 + 1e-6
    assert float(clip(torch.full((9,), 1e-3), 1.0).sum()) == pytest.approx(9e-3)
    assert not clip(torch.zeros(3), 1.0).any()


def test_the_noise_has_the_size_that_was_asked_for() -> None:
    mean = NoisyMean(0.5, 3.0, 10)
    found = mean.moved({"a": torch.zeros(40_000)}, torch.zeros(40_000), Random.of(0))["a"]
    assert float(found.std()) == pytest.approx(0.5 * 3.0 / 10, rel=0.02)
    assert abs(float(found.mean())) < 0.003
    alone = PrivateMean(mean)({"a": torch.zeros(40_000)}, [], Random.of(0)).state["a"]
    assert float(alone.std()) == pytest.approx(0.15, rel=0.02), "a round without anybody lets noise out, too"
    assert not bool((alone == found).all()), "and no streams of the run decide it"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_update_that_is_not_finite_adds_nothing(bad: float) -> None:
    start, rule = {"a": torch.zeros(3)}, PrivateMean(NoisyMean(1.0, 0.0, 2))
    lying = (Client(NodeId("z"), torch.zeros(1, 2)), {"a": torch.tensor([bad, 0.0, 0.0])})
    honest = (Client(NodeId("a"), torch.zeros(1, 2)), {"a": torch.tensor([0.5, 0.0, 0.0])})
    assert rule(start, [honest, lying], Random.of(0)).state["a"].tolist() == [0.25, 0.0, 0.0]


def test_a_retry_sends_the_same_noise_and_a_lost_one_counts(tmp_path: Path) -> None:
    start, kept = {"a": torch.zeros(50)}, Releases(tmp_path / "releases")
    rule = PrivateMean(NoisyMean(1.0, 1.0, 2, releases=kept))
    first, again = (rule(start, [], Random.of(0)).state["a"] for _ in range(2))
    assert torch.equal(first, again)
    assert kept.num_events() == 1
    (tmp_path / "releases" / "edge.safetensors").unlink()
    assert not torch.equal(rule(start, [], Random.of(0)).state["a"], first)
    assert kept.num_events() == 2, "drawn again is one more event"
    rule({"a": torch.ones(50)}, [], Random.of(0))
    assert kept.num_events() == 3
    with (tmp_path / "releases" / "events.jsonl").open("a") as file:
        file.write('\n{"start": "cut')
    assert kept.num_events() == 4, "an event that a kill has cut counts"
    (tmp_path / "releases" / "edge.safetensors").write_bytes(b"odd")
    with pytest.raises(ConfigError, match="damaged"):
        rule(start, [], Random.of(0))


def test_clients_are_drawn_by_themselves_and_again_as_they_were(tmp_path: Path) -> None:
    everybody = [Client(NodeId(f"c{i:03}"), torch.zeros(1, 2)) for i in range(100)]
    sizes = [len(PoissonChoice()(everybody, 0.1, Random.of(0))) for _ in range(30)]
    assert 7 < sum(sizes) / 30 < 13
    assert len(set(sizes)) > 3
    kept = PoissonChoice(path=tmp_path / "clients.json")
    first, again, other = (kept(everybody, 0.1, Random.of(0).child("round", i)) for i in (0, 0, 1))
    assert first == again != other
    assert PoissonChoice()(everybody[:2], 1e-9, Random.of(0)) == ()


@pytest.mark.parametrize("form", ["soft_prompt", "lora", pytest.param("adapter", marks=pytest.mark.slow)])
def test_gradients_of_rows_are_those_of_single_steps(form: Any, model: Any, clients: Any) -> None:
    subject = attach(model, form, 2)
    rows = clients[0].rows[:4]
    together = Apart.of(subject).gradients(rows)
    for i, row in enumerate(rows):
        subject.zero_grad()
        plain_step(subject, row[None])
        for name, p in subject.named_parameters():
            if p.requires_grad:
                torch.testing.assert_close(together[name][i], p.grad, rtol=1e-4, atol=1e-7)


def test_gradients_beside_the_backward_pass_are_those_of_mapped_rows(model: Any, clients: Any) -> None:
    from gainnet.learning.safeguards.rows import _mapped

    subject, rows = attach(model, "lora", 2), clients[1].rows[:5]
    with torch.no_grad():
        for p in subject.parameters():
            if p.requires_grad:
                p.add_(0.1 * torch.ones_like(p))  # else all gradients of A are zero
    quick, mapped = Apart.of(subject).gradients(rows), _mapped(subject, Apart.of(subject).trained, rows)
    assert quick.keys() == mapped.keys()
    for name, x in mapped.items():
        torch.testing.assert_close(quick[name], x, rtol=1e-4, atol=1e-7)
    assert all(p.grad is None for p in subject.parameters())
    assert "forward" not in next(m for n, m in subject.named_modules() if n.endswith("lora_A.default")).__dict__


def test_one_row_moves_a_gradient_by_the_clipping_norm_at_most(model: Any, clients: Any) -> None:
    subject, rows = attach(model, "adapter", 1), clients[2].rows[:6]
    norms = sum(g.flatten(1).square().sum(1) for g in Apart.of(subject).gradients(rows).values()).sqrt()  # type: ignore[union-attr]
    for norm_ in (float(norms.min()) / 2, float(norms.max()) * 2):
        steps = PrivateSteps(norm_, 0.0, 0.5)
        with_it, without = (
            steps.noisy_gradient(Apart.of(subject), some, 12, Random.of(0)) for some in (rows, rows[1:])
        )
        moved = math.sqrt(sum(float((6 * (with_it[n] - without[n])).square().sum()) for n in with_it))
        assert moved == pytest.approx(min(norm_, float(norms[0])), rel=1e-4)


def test_private_steps_without_noise_and_clipping_are_plain_steps(model: Any, clients: Any, random: Random) -> None:
    """With all rows in every sample; and noise of the size that was asked for in an empty one."""
    client, training = clients[0], LocalTraining("sgd", 0.1, 2, len(clients[0].rows))
    subject = attach(model, "adapter", 1)
    PrivateSteps(1e9, 0.0, 1.0)(subject, training, client, 2, random)
    private = [p.detach().clone() for p in subject.parameters() if p.requires_grad]
    plain = attach(model, "adapter", 1)
    optimizer = training.start([p for p in plain.parameters() if p.requires_grad])
    for _ in range(2):
        plain_step(plain, client.rows)
        optimizer.step()
        optimizer.zero_grad()
    for a, b in zip(private, (p for p in plain.parameters() if p.requires_grad), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    noise = PrivateSteps(0.5, 2.0, 0.25).noisy_gradient(Apart.of(subject), client.rows[:0], 40, Random.of(0))
    found = torch.cat([x.flatten() for x in noise.values()])
    assert float(found.std()) == pytest.approx(0.5 * 2.0 / 10, rel=0.15)


def test_a_client_that_trains_again_sends_what_it_has_drawn(model: Any, clients: Any, tmp_path: Path) -> None:
    steps, training = PrivateSteps(0.5, 1.0, 0.5, releases=Releases(tmp_path)), LocalTraining("sgd", 0.1, 1, 4)
    found = []
    for _ in range(2):
        subject = attach(model, "adapter", 1)
        steps(subject, training, clients[0], 1, Random.of(0))
        found.append(torch.cat([p.detach().flatten() for p in subject.parameters() if p.requires_grad]))
    assert torch.equal(*found)
    assert Releases(tmp_path).num_events() == 1


def test_numbers_out_of_range_are_refused() -> None:
    for make in (
        lambda: PrivateSteps(0.0, 1.0, 0.2),
        lambda: PrivateSteps(1.0, 1.0, 2.0),
        lambda: NoisyMean(1, 1, 0),
        lambda: NoisyMean(1, -1, 1),
    ):
        with pytest.raises(ConfigError):
            make()
