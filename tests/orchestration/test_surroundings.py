"""What stands in the way of links and cameras."""

from __future__ import annotations

import pytest
import torch

from gainnet.orchestration.surroundings import blocked, hidden, in_view

ORIGIN = torch.zeros(1, 2, dtype=torch.float64)
EDGE = torch.tensor([[100.0, 0.0]], dtype=torch.float64)
HEIGHTS_M = (1.5, 10.0, 3.0)


@pytest.mark.parametrize(
    ("vehicle_m", "expected"),
    [
        ([10.0, 0.0], True),
        ([10.0, 1.2], True),
        ([10.0, 1.4], False),  # beside the line
        ([18.0, 0.0], False),  # the line is at 3.03 m there, above a roof of 3 m
        ([-10.0, 0.0], False),  # behind the client
        ([1.0, 0.0], False),  # the client's own body
        ([float("nan"), 0.0], False),  # away
    ],
)
def test_a_vehicle_blocks_where_it_reaches_the_line(vehicle_m: list[float], expected: bool) -> None:
    assert blocked(ORIGIN, EDGE, torch.tensor([vehicle_m]).double(), HEIGHTS_M, 2.6).tolist() == [[expected]]


def test_blocking_is_of_every_pair_and_scenario() -> None:
    client_m = torch.rand(3, 2, 5, 2, dtype=torch.float64) * 500
    edge_m, vehicle_m = torch.rand(4, 2).double() * 500, torch.rand(3, 2, 9, 2, dtype=torch.float64) * 500
    found = blocked(client_m, edge_m, vehicle_m, HEIGHTS_M, 200.0)
    assert found.shape == (3, 2, 5, 4)
    assert torch.equal(found[1, 0], blocked(client_m[1, 0], edge_m, vehicle_m[1, 0], HEIGHTS_M, 200.0))
    assert 0 < int(found.sum()) < found.numel()


def test_a_camera_sees_its_angle() -> None:
    angle = torch.deg2rad(torch.tensor([0.0, 29.0, 31.0, -29.0, 180.0], dtype=torch.float64))
    heading = torch.tensor([[0.0, 2.0]], dtype=torch.float64)
    target_m = 30 * torch.stack([angle.sin(), angle.cos()], -1)
    assert in_view(ORIGIN, heading, target_m, 60.0)[0].tolist() == [True, True, False, True, False]
    assert bool(in_view(ORIGIN, heading, target_m, 360.0).all())


def test_the_nearer_hides_the_farther() -> None:
    target_m = torch.tensor([[30.0, 0.5], [10.0, 0.0], [30.0, 3.0], [0.0, 0.0], [90.0, 0.0]], dtype=torch.float64)
    # The third is beside the line, the fourth is the client itself, the last one out of range.
    assert hidden(ORIGIN, target_m, 50.0, 1.8)[0].tolist() == [True, False, False, False, False]
    assert not bool(hidden(ORIGIN, torch.full((2, 2), torch.nan), 50.0, 1.8).any())
