"""Payments under which no client gains by lying about its cost, on the exact optimum of a round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.orchestration.association import LoadTable
from gainnet.orchestration.congestion import contention_of

MOST_CLIENTS: Final = 12
"""Sets of more clients are too many to try."""


@final
@dataclass(frozen=True)
class Payments:
    """Who takes part, and what everybody is paid.

    Args:
        takes_part: [*batch, num_clients], bool.
        payment: [*batch, num_clients], in units of the gain; 0 to those who do not take part.
    """

    takes_part: Tensor
    payment: Tensor

    def utility(self, cost: Tensor) -> Tensor:
        """[*batch, num_clients], payment less true cost [*batch, num_clients]."""
        return self.payment - cost * self.takes_part


def coalition_gains(table: LoadTable) -> Tensor:
    r"""[2 ** num_clients], the largest gain of a round for every set of clients; bit n of the index is client n.

    Exact: the clients of an edge meet its other clients in their number alone, so that the best association of a set is
    the best partition of it among edges, and of an edge's part among its models; both are convolutions over subsets,

    $(a * b)(U) = \max_{S \subseteq U} a(S) + b(U \setminus S)$,  of $3^n$ steps each.

    Args:
        table: worths of one scenario in one round, without batch, in which clients share spectrum.

    Raises:
        ConfigError: more than 12 clients, a batch, or clients that share nothing.
    """
    regime, num_clients = contention_of(table.graph), table.worth.shape[-2]
    if table.worth.dim() != 3 or num_clients > MOST_CLIENTS:
        raise ConfigError(f"payments: give one scenario of at most {MOST_CLIENTS} clients")
    members = _members(num_clients)
    # [loads, sets, models]: gain of a model if just that set served it, at any load of its edge.
    alone = regime.weight * regime.function(torch.einsum("sn,knm->ksm", members, table.worth))
    edge_of_model, size, best = table.graph.edge_of_model, members.sum(-1).long(), None
    for edge in edge_of_model.unique().tolist():
        models = (edge_of_model == edge).nonzero().flatten().tolist()
        of_edge = torch.empty(len(size), dtype=alone.dtype)
        for load in range(num_clients + 1):
            whole = alone[load, :, models[0]]
            for model in models[1:]:
                whole = _convolve(whole, alone[load, :, model])
            of_edge[size == load] = whole[size == load]
        best = of_edge if best is None else _convolve(best, of_edge)
    assert best is not None
    return best


def payments(gains: Tensor, cost: Tensor) -> Payments:
    r"""The Vickrey-Clarke-Groves payments of reported costs.

    $S^* = \arg\max_S g(S) - \sum_{j \in S} c_j$,
    $p_i = g(S^*) - \sum_{j \in S^* \setminus i} c_j - \max_{S \not\ni i} (g(S) - \sum_{j \in S} c_j)$

    What a client is paid depends on its own report only through whether it takes part, so the truth is its best report
    whatever others say, as long as $S^*$ is exact (Vickrey 1961, Clarke 1971, Groves 1973).

    Args:
        gains: [2 ** num_clients], of every set, as `coalition_gains` gives them.
        cost: [*batch, num_clients], reported costs of taking part, >= 0, in units of the gain.

    Raises:
        ConfigError: a cost is negative or not finite.

    >>> found = payments(torch.tensor([0.0, 5.0, 5.0, 5.0]), torch.tensor([1.0, 3.0]))
    >>> found.takes_part.tolist(), found.payment.tolist()
    ([True, False], [3.0, 0.0])
    """
    if bool((~cost.isfinite() | (cost < 0)).any()):
        raise ConfigError("cost: a cost is negative or not finite; give numbers of 0 or more")
    num_clients = cost.shape[-1]
    members = _members(num_clients).to(gains.dtype)
    welfare = gains - cost @ members.T
    best, chosen = welfare.max(-1)
    takes_part = members[chosen] > 0
    without = [welfare[..., members[:, n] == 0].amax(-1) for n in range(num_clients)]
    # g(S*) less the others' costs is the welfare of S* with the client's own cost put back.
    payment = best.unsqueeze(-1) + cost - torch.stack(without, -1)
    return Payments(takes_part, torch.where(takes_part, payment, 0.0))


def _members(num_clients: int) -> Tensor:
    """[2 ** num_clients, num_clients], 1 where a set has a client."""
    number = torch.arange(2**num_clients)
    return (number.unsqueeze(-1) >> torch.arange(num_clients) & 1).double()


def _convolve(one: Tensor, other: Tensor) -> Tensor:
    """[num_sets], the best that two parts of each set give together; of two [num_sets]."""
    number = torch.arange(len(one))
    best = torch.full_like(one, -torch.inf)
    for part in range(len(one)):
        whole = number[number & part == part]
        best[whole] = torch.maximum(best[whole], one[part] + other[whole ^ part])
    return best
