"""Safeguards of rounds whose members are elsewhere: sums that they mask themselves, and a record that they sign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gainnet.core.types import NodeId
from gainnet.learning.algorithms.algorithm import Aggregation, Algorithm, Open
from gainnet.learning.algorithms.fedavg import FedAvg
from gainnet.learning.algorithms.flora import Flora
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.engines.asking import Roll
from gainnet.learning.engines.crowds import distant
from gainnet.learning.engines.remote import elsewhere
from gainnet.learning.engines.witnesses import DistantClients
from gainnet.learning.safeguards.incentives import Valued
from gainnet.learning.safeguards.record import RECORD, Recorded
from gainnet.learning.safeguards.secure_aggregation import MaskedMean, MaskedPrivateMean
from gainnet.learning.safeguards.settings import Safeguards
from gainnet.learning.safeguards.signing import Keyring, nodes_folder
from gainnet.network import EDGE


def guarded_elsewhere(
    algorithm: Algorithm,
    safeguards: Safeguards | None,
    roll: Roll,
    names: tuple[NodeId, ...],
    out: Path | None,
    pinned: Mapping[str, str] | None = None,
) -> FedAvg | Fpl | Flora:
    """An algorithm whose clients are elsewhere, with the safeguards that it has in one process.

    Args:
        algorithm: that averages.
        safeguards: none when `None`.
        roll: reaches the clients, who have to be there already.
        names: of the clients.
        out: folder of the signed record; there is none when `None`, or without safeguards.
        pinned: public keys of the clients, as known from elsewhere.

    Raises:
        ConfigError: the algorithm does not average, or clients do not enrol.
    """
    there = elsewhere(algorithm, roll)
    if safeguards is None:
        return there
    guarded = safeguards.without_record(there, out)
    guarded = replace(guarded, aggregation=_reached(guarded.aggregation, roll))
    if out is None:
        return guarded
    edge = Keyring.of(nodes_folder(out), (EDGE,))
    clients = DistantClients.enrolled(roll, names, edge.public(EDGE), out / RECORD, pinned)
    # Outermost: it signs what the edge merges, whatever the rule.
    return replace(guarded, aggregation=Recorded(guarded.aggregation, out / RECORD, edge, clients))


def _reached(aggregation: Aggregation, roll: Roll) -> Any:
    """The aggregation, with members of masked sums where they are, and costs as they report them."""
    if isinstance(aggregation, Open) and isinstance(aggregation.rule, Valued):
        return Open(replace(aggregation.rule, costs=lambda: roll.costs))
    if not isinstance(aggregation, MaskedMean | MaskedPrivateMean):
        return aggregation
    sums = aggregation.sums
    return replace(aggregation, sums=replace(sums, crowds=distant(roll, sums.share)))
