"""An allocation of one CR: who trains what with which cells, and which share of requests is served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch
from numpy.typing import NDArray

from gainnet.orchestration.joint.cells import NUM_SLOTS, Columns, cells_of
from gainnet.orchestration.joint.demand import Reals, sums
from gainnet.orchestration.joint.program import Solution
from gainnet.orchestration.joint.site import Site
from gainnet.orchestration.offer import Offer

TOLERANCE: Final = 1e-9
_SHORTER: Final = (1.0, 0.99, 0.97, 0.94, 0.9, 0.8, 0.65, 0.45, 0.25, 0.1, 0.0)


@final
@dataclass(frozen=True)
class Allocation:
    """The two matrices of every edge in one CR, filled.

    Args:
        model: [num_clients], int64, model that each client serves; -1 where it serves none.
        start: [num_clients], int64, slot in which its download begins.
        samples: [num_clients], samples that it senses and consumes.
        worth: [num_models], samples that each model gets, each times its correlation.
        served: [num_classes], share of the requests that is served.
        trained: [2, num_edges, NUM_SLOTS], cells of training: spectrum area in Hz s, and cycles.
        answered: [2, num_edges], what requests take in every slot, in the same units.
    """

    model: NDArray[np.int64]
    start: NDArray[np.int64]
    samples: Reals
    worth: Reals
    served: Reals
    trained: Reals
    answered: Reals

    def filled(self, site: Site) -> Reals:
        """[2, num_edges, NUM_SLOTS], share of each cell that is in use, at most 1 to 1e-6.

        Args:
            site: edges.
        """
        return (self.trained + self.answered[..., None]) * NUM_SLOTS / (site.pools * site.duration_s)[..., None]

    def served_per_s(self, site: Site) -> float:
        """Requests that are served per second; arguments as of `filled`."""
        return float(self.served @ site.demand.per_s)


def round_off(offer: Offer, site: Site, found: Solution, chosen: Columns) -> Allocation:
    """The allocation of a solution in which every client has one model and one beginning.

    Mixtures of columns are not quite the round of the mixed samples, so cells are computed anew; where those of an edge
    do not fit, its clients sense a little less.

    Args:
        offer: the CR.
        site: edges.
        found: the solution.
        chosen: columns it is of, of one model and beginning for each client.
    """
    num_clients = offer.pool.bandwidth_hz.shape[-2]
    model, start = np.full(num_clients, -1), np.zeros(num_clients, dtype=np.int64)
    model[chosen.client], start[chosen.client] = chosen.model, chosen.start
    samples = sums(chosen.client, chosen.samples * found.weight, num_clients)
    answered = site.load_of(found.served) * site.duration_s / NUM_SLOTS
    # Requests fit to the solver's 1e-7 alone: where they take a whole pool, what is left can come out below nothing.
    room = (site.pools[..., None] * site.duration_s / NUM_SLOTS - answered[..., None]).clip(0.0)
    edge = np.where(model >= 0, site.edge_of_model[model], -1)
    step = np.zeros(site.num_edges, dtype=np.int64)
    while True:
        factor = np.where(edge >= 0, np.array(_SHORTER)[step][edge], 0.0)
        trained = _cells(offer, site, model, start, samples * factor)
        over = (trained > room * (1 + TOLERANCE) + TOLERANCE).any((0, 2))
        if not over.any():
            break
        step += over
    samples = samples * factor
    correlation = offer.correlation.numpy()[np.arange(num_clients), model]
    active = samples > 0
    worth = sums(model[active], (correlation * samples)[active], site.num_models)
    return Allocation(np.where(active, model, -1), start, samples, worth, found.served, trained, answered)


def _cells(offer: Offer, site: Site, model: NDArray[np.int64], start: NDArray[np.int64], samples: Reals) -> Reals:
    """[2, num_edges, NUM_SLOTS], what clients take together."""
    active = np.flatnonzero((samples > 0) & (model >= 0))
    total = np.zeros((2, site.num_edges, NUM_SLOTS))
    if not len(active):
        return total
    every = np.zeros((len(model), site.num_models))
    every[active, model[active]] = samples[active]
    both = np.stack(cells_of(offer, site, torch.from_numpy(every)))[:, active, model[active]]
    for n, cells in zip(active, np.moveaxis(both, 1, 0), strict=True):
        total[:, site.edge_of_model[model[n]]] += np.roll(cells, start[n], -1)
    return total
