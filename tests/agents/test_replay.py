"""The ring keeps the newest rows and goes on where it was."""

from __future__ import annotations

import torch

from gainnet.agents.replay import Replay


def rows(*numbers: float) -> dict[str, torch.Tensor]:
    return {"reward": torch.tensor(numbers), "observation": torch.tensor(numbers).unsqueeze(-1).expand(-1, 3)}


def test_the_oldest_give_way() -> None:
    ring = Replay(4)
    for k in range(5):
        ring.add(rows(2.0 * k, 2.0 * k + 1))
    assert sorted(ring.tensors()["reward"].tolist()) == [6.0, 7.0, 8.0, 9.0]


def test_rows_stay_together_and_all_are_drawn() -> None:
    ring = Replay(10)
    ring.add(rows(1.0, 2.0, 3.0))
    drawn = ring.draw(200, torch.Generator().manual_seed(0))
    assert torch.equal(drawn["observation"], drawn["reward"].unsqueeze(-1).expand(-1, 3))
    assert set(drawn["reward"].tolist()) == {1.0, 2.0, 3.0}


def test_a_loaded_ring_goes_on_where_it_was() -> None:
    for num in (3, 6):
        ring, other = Replay(5), Replay(5)
        ring.add(rows(*(float(k) for k in range(num))))
        other.load(ring.tensors(), ring.next)
        for one in (ring, other):
            one.add(rows(10.0, 11.0))
        assert torch.equal(ring.tensors()["reward"], other.tensors()["reward"])
        assert ring.next == other.next
