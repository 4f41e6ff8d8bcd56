"""Vehicles in the way: of radio links to edges, and of what a camera sees."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LENGTH_M = 4.5
"""Of a vehicle (3GPP TR 37.885, 6.1.2, rounded); who is nearer than half of it to a point is that point's own."""


def blocked(
    client_m: Tensor, edge_m: Tensor, vehicle_m: Tensor, heights_m: tuple[float, float, float], width_m: float
) -> Tensor:
    """Whether a vehicle stands between a client and an edge, and reaches up to the line between their antennas.

    Args:
        client_m: [..., num_clients, 2], positions; NaN where one is away.
        edge_m: [num_edges, 2].
        vehicle_m: [..., num_vehicles, 2]; NaN where one is away.
        heights_m: of the client's antenna, the edge's antenna and a vehicle, in m.
        width_m: of a vehicle > 0.

    Returns:
        [..., num_clients, num_edges], bool.

    >>> client, edge = torch.tensor([[0.0, 0.0]]), torch.tensor([[100.0, 0.0], [0.0, 100.0]])
    >>> blocked(client, edge, torch.tensor([[10.0, 0.5]]), (1.5, 10.0, 3.0), 2.0)
    tensor([[ True, False]])
    """
    client, base, top = heights_m
    apart = vehicle_m.unsqueeze(-3) - client_m.unsqueeze(-2)
    found = []
    for place in edge_m.to(client_m.dtype):
        way = (place - client_m).unsqueeze(-2)
        length = way.norm(dim=-1).clamp_min(1e-9)
        along_m = (apart * way).sum(-1) / length
        across_m = (apart[..., 0] * way[..., 1] - apart[..., 1] * way[..., 0]).abs() / length
        # Low antennas look over nobody near to them: the line rises to the edge.
        below = client + (base - client) * along_m / length <= top
        between = (along_m > _LENGTH_M / 2) & (along_m < length) & (across_m <= width_m / 2)
        found.append((between & below).any(-1))
    return torch.stack(found, -1)


def in_view(client_m: Tensor, heading: Tensor, target_m: Tensor, field_of_view_deg: float) -> Tensor:
    """Whether targets are within the angle of a camera that looks ahead.

    Args:
        client_m: [..., num_clients, 2], positions.
        heading: [..., num_clients, 2], direction of any length.
        target_m: [..., num_targets, 2], positions.
        field_of_view_deg: the whole angle, > 0 and at most 360.

    Returns:
        [..., num_clients, num_targets], bool.

    >>> origin, ahead = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    >>> in_view(origin, ahead, torch.tensor([[5.0, 1.0], [0.0, 5.0], [-5.0, 0.0]]), 90.0)
    tensor([[ True, False, False]])
    """
    if field_of_view_deg >= 360:
        return torch.ones(*client_m.shape[:-1], target_m.shape[-2], dtype=torch.bool)
    apart = target_m.unsqueeze(-3) - client_m.unsqueeze(-2)
    ahead = heading.unsqueeze(-2)
    angle = torch.atan2(apart[..., 0] * ahead[..., 1] - apart[..., 1] * ahead[..., 0], (apart * ahead).sum(-1))
    return angle.abs() <= math.radians(field_of_view_deg) / 2


def hidden(client_m: Tensor, target_m: Tensor, range_m: float, width_m: float) -> Tensor:
    """Whether a nearer target covers the middle of a farther one.

    Args:
        client_m: [..., num_clients, 2], positions; NaN where one is away.
        target_m: [..., num_targets, 2], positions of vehicles, the client itself possibly among them.
        range_m: beyond it nothing is asked for; the answer there is False.
        width_m: across the line of sight of what covers, > 0.

    Returns:
        [..., num_clients, num_targets], bool.

    >>> ahead = torch.tensor([[10.0, 0.0], [30.0, 0.5], [0.0, 30.0]])
    >>> hidden(torch.zeros(1, 2), ahead, 50.0, 2.0)
    tensor([[False,  True, False]])
    """
    apart = target_m.unsqueeze(-3) - client_m.unsqueeze(-2)
    distance_m = apart.norm(dim=-1).nan_to_num(torch.inf)
    inside = (distance_m <= range_m) & (distance_m > _LENGTH_M / 2)
    # Only who is in range can cover or be covered: some dozen, however many there are.
    most = max(1, int(inside.sum(-1).max()))
    near_m, index = distance_m.masked_fill(~inside, torch.inf).topk(most, largest=False)
    place = apart.nan_to_num(0.0).gather(-2, index.unsqueeze(-1).expand(*index.shape, 2))
    one, other = place.unsqueeze(-2), place.unsqueeze(-3)
    length = near_m.clamp(1e-9, range_m).unsqueeze(-1)
    along_m = (one * other).sum(-1) / length
    across_m = (one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]).abs() / length
    real = near_m.isfinite()
    covers = (along_m > _LENGTH_M / 2) & (near_m.unsqueeze(-2) < near_m.unsqueeze(-1)) & (across_m <= width_m / 2)
    covered = (covers & real.unsqueeze(-2)).any(-1) & real
    return torch.zeros_like(inside).scatter(-1, index, covered)
