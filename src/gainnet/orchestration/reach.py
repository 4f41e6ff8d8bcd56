"""Edges within reach of a place, found by a grid of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import check_range

_CELLS_PER_REACH = 8


@final
@dataclass(frozen=True)
class Reach:
    """Lists of edges by cell; what it takes grows with the edges, and a look-up does not depend on their number.

        place --> cell --> edges that reach some point of the cell --> those that reach the place

    Args:
        edge_m: [num_edges, 2], positions.
        reach_m: distance > 0 from which nothing of an edge is received.
        origin_m: [2], corner of the first cell.
        num_cells: columns and rows.
        listed: [columns * rows, most], int64, edges in ascending order, -1 where there are no more.

    >>> edge_m = torch.tensor([[0.0, 0.0], [300.0, 0.0]], dtype=torch.float64)
    >>> Reach.of(edge_m, 200.0).edges_at(torch.tensor([[10.0, 0.0], [150.0, 0.0], [900.0, 0.0]]).double())
    tensor([[ 0, -1],
            [ 0,  1],
            [-1, -1]])
    """

    edge_m: Tensor
    reach_m: float
    origin_m: Tensor
    num_cells: tuple[int, int]
    listed: Tensor

    @staticmethod
    def of(edge_m: Tensor, reach_m: float) -> Reach:
        """The grid around edges [num_edges, 2] in m; raises `ConfigError` unless `reach_m` is positive."""
        check_range(0 < reach_m < float("inf"), "reach_m", reach_m, "a positive number of m")
        cell_m = reach_m / _CELLS_PER_REACH
        origin_m = edge_m.amin(0) - reach_m
        columns, rows = (((edge_m.amax(0) + reach_m - origin_m) / cell_m).long() + 1).tolist()
        # A square of cells around each edge, and of those the ones that have a point within reach.
        around = torch.arange(-_CELLS_PER_REACH - 1, _CELLS_PER_REACH + 2)
        offsets = torch.cartesian_prod(around, around)
        cells = ((edge_m - origin_m) / cell_m).long().unsqueeze(1) + offsets
        corner_m = origin_m + cells * cell_m
        nearest_m = edge_m.unsqueeze(1).clamp(corner_m, corner_m + cell_m)
        inside = ((cells >= 0) & (cells < torch.tensor([columns, rows]))).all(-1)
        # A little farther, so that no rounding of a cell's corner loses an edge; `edges_at` measures exactly.
        near = inside & ((nearest_m - edge_m.unsqueeze(1)).norm(dim=-1) <= reach_m * (1 + 1e-9))
        edge, number = near.nonzero(as_tuple=True)
        cell = cells[edge, number, 0] * rows + cells[edge, number, 1]
        # A stable sort keeps the edges of a cell in ascending order.
        cell, order = cell.sort(stable=True)
        counts = torch.bincount(cell, minlength=columns * rows)
        place = torch.arange(len(cell)) - (counts.cumsum(0) - counts)[cell]
        listed = torch.full((columns * rows, int(counts.max())), -1)
        listed[cell, place] = edge[order]
        return Reach(edge_m, reach_m, origin_m, (columns, rows), listed)

    def edges_at(self, place_m: Tensor) -> Tensor:
        """[num_places, most], int64, edges within reach in ascending order, -1 where there are no more.

        Args:
            place_m: [num_places, 2], positions in m, inside or outside of the grid.
        """
        cell_m = self.reach_m / _CELLS_PER_REACH
        most = torch.tensor(self.num_cells) - 1
        # Outside of the grid nothing is within reach; the lists of its border are measured and found too far.
        cell = ((place_m - self.origin_m) / cell_m).long().clamp_min(0).minimum(most)
        listed = self.listed[cell[:, 0] * self.num_cells[1] + cell[:, 1]]
        apart_m = (self.edge_m[listed.clamp_min(0)] - place_m.unsqueeze(1)).norm(dim=-1)
        near = (listed >= 0) & (apart_m <= self.reach_m)
        found = torch.where(near, listed, len(self.edge_m)).sort(-1).values[:, : max(1, int(near.sum(-1).max()))]
        return torch.where(found < len(self.edge_m), found, -1)
