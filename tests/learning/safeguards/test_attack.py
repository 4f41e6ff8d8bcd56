"""The curious edge: look-up inverts a bare embedding, an inverter learns, hiding costs loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gainnet.catalog.learning import cut_of
from gainnet.codecs import ACTIVATION_CODECS
from gainnet.codecs.raw import Float32
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.learning.safeguards.attack import (
    Coded,
    InverterTraining,
    Noisy,
    activations_of,
    look_up,
    loss_seen_through,
    share_recovered,
    trained_inverter,
)
from gainnet.learning.split.halves import split_step
from gainnet.learning.split.model import SplitModel
from gainnet.models.language import mean_loss

RANDOM = Random.of(0)


class Listening:
    """A crossing that keeps what it carries."""

    def __init__(self) -> None:
        self.heard: list[torch.Tensor] = []

    def up(self, kind: str, tensors: Any) -> Any:
        self.heard += [x.clone() for x in tensors.values()] if kind == "activations" else []
        return dict(tensors), torch.tensor(True)

    def down(self, kind: str, tensors: Any) -> Any:
        return dict(tensors), torch.tensor(True)

    def computed(self, segment: str) -> None:
        return None


@pytest.mark.parametrize("text", ["embedding_only", "u_shape", pytest.param("u_shape+2", marks=pytest.mark.slow)])
def test_the_attacker_has_what_really_crosses(text: str, model: Any, clients: Any) -> None:
    cut, rows = cut_of(text), clients[0].rows[:3]
    crossing = Listening()
    model.train(False)
    split_step(SplitModel.of(model, cut), rows, rows, crossing)
    torch.testing.assert_close(crossing.heard[0], activations_of(model, cut.num_blocks, rows))


@pytest.mark.parametrize("codec", ["float32", "float16", "int8"])
def test_a_bare_embedding_is_inverted_by_look_up(codec: str, model: Any, clients: Any) -> None:
    rows = clients[1].rows
    seen = Coded(ACTIVATION_CODECS[codec]())(activations_of(model, 0, rows), RANDOM)
    table = model.get_input_embeddings().weight.detach()
    assert share_recovered(look_up(seen, table), rows) == 1.0


def test_noise_hides_and_costs(model: Any, clients: Any) -> None:
    rows = clients[2].rows
    table = model.get_input_embeddings().weight.detach()
    shares, exact = [], mean_loss(model, rows)
    for ratio in (0.0, 2.0, 100.0):
        seen = Noisy(ratio, Float32())(activations_of(model, 0, rows), RANDOM)
        shares.append(share_recovered(look_up(seen, table), rows))
    assert shares[0] == 1.0 > shares[1] > shares[2]
    assert shares[2] < 0.1
    hidden = activations_of(model, 1, rows)
    noise = Noisy(0.5, Float32())(hidden, RANDOM) - hidden
    ratios = noise.square().mean((0, 1, 2)).sqrt() / hidden.square().mean().sqrt()
    assert float(ratios) == pytest.approx(0.5, rel=0.1)
    assert loss_seen_through(model, 0, Coded(Float32()), rows, RANDOM) == pytest.approx(exact, abs=1e-5)
    assert loss_seen_through(model, 2, Coded(Float32()), rows, RANDOM) == pytest.approx(exact, abs=1e-5)


@pytest.mark.slow
def test_an_inverter_reads_behind_blocks_what_look_up_cannot(model: Any, clients: Any) -> None:
    public, rows = torch.cat([c.rows for c in clients]), clients[2].rows[:4]
    view = Coded(Float32())
    inverter = trained_inverter(model, 2, view, public, InverterTraining(80, 12, width=32), RANDOM)
    with torch.no_grad():
        found = inverter(activations_of(model, 2, rows)).argmax(-1)
    most_frequent = float(torch.bincount(rows.flatten()).max()) / rows.numel()
    assert share_recovered(found, rows) > 0.8 > 2 * most_frequent
    with pytest.raises(ConfigError, match="cut"):
        activations_of(model, 3, rows)
    with pytest.raises(ConfigError, match="noise"):
        Noisy(-1.0, Float32())
