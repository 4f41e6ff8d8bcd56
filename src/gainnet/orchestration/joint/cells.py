"""A client's round as cells of the two matrices of an edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.orchestration.board import occupancy
from gainnet.orchestration.joint.demand import Reals
from gainnet.orchestration.joint.site import Site
from gainnet.orchestration.offer import Offer
from gainnet.orchestration.resources import Grid
from gainnet.orchestration.rounds import COMPUTING, Activity, zeros_schedule
from gainnet.orchestration.workload import Reason, Workload, consumption, steady_workload

NUM_SLOTS: Final = 6
LEVELS: Final = (0.1, 0.3, 0.5, 0.7, 0.85, 1.0)
"""Samples of a column as shares of the most; what lies between two is a mixture of them."""

_MOST_COLUMNS: Final = 4000
_SPECTRUM = frozenset(Activity) - COMPUTING


def cells_of(offer: Offer, site: Site, samples: Tensor) -> tuple[Reals, Reals]:
    """Cells that clients take when each senses and consumes so many samples in the CR.

    It is a steady state (assumed): what the CR consumes of the round before is as much as it senses. Download, training
    and upload lie as in `zeros_schedule` from the beginning of the CR; wireless sensing fills a client's own free
    spectrum evenly. The edge's part of training has no order with the client's and is spread over all slots (assumed).

    Args:
        offer: the CR.
        site: edges.
        samples: [..., num_clients, num_models], at most the steady workload.

    Returns:
        Spectrum areas in Hz s and cycles of the edge, [..., num_clients, num_models, NUM_SLOTS] each.
    """
    pool, sensing = offer.pool, offer.sensing
    spent = consumption(pool, offer.tasks, samples)
    # Visual samples take nothing from an edge, so they come first.
    free = ((pool.cycles - spent.cycles) / sensing.cycles_per_sample).clamp_min(0.0)
    visual = torch.minimum(torch.minimum(free, sensing.most_visual_per_s * pool.duration_s), samples)
    schedule = zeros_schedule(pool, spent, Workload(samples - visual, visual, spent.reason), sensing)
    grid = Grid(NUM_SLOTS, 1)
    spectrum = occupancy(schedule, grid, _SPECTRUM).sum((-2, -3)) * (pool.spectrum_hz_s / NUM_SLOTS).unsqueeze(-1)
    cycles = (samples * torch.from_numpy(site.edge_cycles_per_sample) / NUM_SLOTS).unsqueeze(-1)
    return spectrum.numpy(), cycles.expand_as(spectrum).numpy()


@final
@dataclass(frozen=True)
class Columns:
    """Rounds that clients could have: who, for which model, how many samples, beginning in which slot.

    Args:
        client: [num_columns], int64.
        model: [num_columns], int64.
        start: [num_columns], int64, slot in which the download begins; a round goes on at the beginning of the CR.
        samples: [num_columns].
        worth: [num_columns], data correlation times samples.
        cells: [2, num_columns, NUM_SLOTS], spectrum area in Hz s and cycles of the edge.
    """

    client: NDArray[np.int64]
    model: NDArray[np.int64]
    start: NDArray[np.int64]
    samples: Reals
    worth: Reals
    cells: Reals

    @staticmethod
    def of(offer: Offer, site: Site) -> Columns:
        """All columns of a CR in which something is sensed that is of use."""
        steady = steady_workload(offer.pool, offer.sensing, offer.tasks)
        useful = (steady.samples > 0) & (offer.correlation > 0) & (steady.reason == int(Reason.FEASIBLE))
        levels = torch.tensor(LEVELS, dtype=torch.float64)[:, None, None]
        most = torch.where(useful, steady.samples, 0.0)
        both = np.stack(cells_of(offer, site, levels * most))
        _, client, model = np.nonzero(np.broadcast_to(useful.numpy(), (len(LEVELS), *useful.shape)))
        level = np.repeat(np.arange(len(LEVELS)), int(useful.sum()))
        samples = (levels * most).numpy()[level, client, model]
        at_start = both[:, level, client, model]
        # Steady rounds need not begin together: every slot is a beginning, and the rest wraps around.
        cells = np.concatenate([np.roll(at_start, shift, -1) for shift in range(NUM_SLOTS)], 1)
        worth = offer.correlation.numpy()[client, model] * samples
        one = client, model, samples, worth
        client, model, samples, worth = (np.tile(x, NUM_SLOTS) for x in one)
        start = np.repeat(np.arange(NUM_SLOTS), len(level))
        every = Columns(client, model, start, samples, worth, cells)
        # In a crowd beginnings are many enough by themselves: one for each client keeps the program small.
        return every if len(client) <= _MOST_COLUMNS else every.only(start == client % NUM_SLOTS)

    def only(self, chosen: NDArray[np.bool_]) -> Columns:
        """Those of a mask [num_columns]."""
        cells = self.cells[:, chosen]
        return Columns(
            self.client[chosen], self.model[chosen], self.start[chosen], self.samples[chosen], self.worth[chosen], cells
        )
