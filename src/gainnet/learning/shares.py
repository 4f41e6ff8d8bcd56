"""Shares of the nodes in a round, and how a loss spreads over rows of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

import torch
from torch import Tensor

from gainnet.core.report import Report

VALUES: Final = ("weights", "adapters")
"""Kinds of payload that bring what a client has trained to the edge."""
_QUANTILES: Final = {"test_loss_p10": 0.1, "test_loss_p90": 0.9}


def spread_of(losses: Tensor) -> dict[str, float]:
    """Quantiles at 10 % and 90 % of losses [num_rows], by name.

    >>> spread_of(torch.arange(11.0))
    {'test_loss_p10': 1.0, 'test_loss_p90': 9.0}
    """
    return {name: float(torch.quantile(losses, share)) for name, share in _QUANTILES.items()}


def shares_of(report: Report) -> dict[str, dict[str, Any]]:
    """FLOPs, energy, bits and transfers that were lost of every node that took part, by its name.

    `values_sent` says whether a device has sent what it had trained, and something of it has arrived whole.
    """
    found = {
        name: {**asdict(node), "num_bits_sent": 0.0, "num_bits_received": 0.0, "num_lost": 0, "values_sent": False}
        for name, node in report.nodes.items()
    }
    for step in report.steps:
        # Records of transfers name their nodes in the label alone: `kind: source -> target, target`.
        kind, colon, way = step.label.partition(": ")
        source, arrow, targets = way.partition(" -> ")
        if not (colon and arrow):
            continue
        found[source]["num_bits_sent"] += step.num_bits
        found[source]["num_lost"] += not step.delivered
        if kind in VALUES and step.delivered and found[source]["kind"] == "device":
            found[source]["values_sent"] = True
        for target in targets.split(", "):
            found[target]["num_bits_received"] += step.num_bits
    return found


def totals_of(details: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The shares of nodes summed over rounds, and in how many rounds each was asked and has sent values.

    Args:
        details: one per round, with the shares under `nodes`.
    """
    summed = ("flops", "compute_energy_j", "radio_energy_j", "idle_energy_j", "num_bits_sent", "num_bits_received")
    totals: dict[str, dict[str, Any]] = {}
    for detail in details:
        for name, share in detail["nodes"].items():
            held = totals.setdefault(
                name, {"kind": share["kind"], "num_rounds": 0, "num_rounds_sent": 0, "num_lost": 0}
            )
            held["num_rounds"] += 1
            held["num_rounds_sent"] += share["values_sent"]
            held["num_lost"] += share["num_lost"]
            for key in summed:
                held[key] = held.get(key, 0.0) + share[key]
    # The edge first, then devices by their number.
    return dict(sorted(totals.items(), key=lambda pair: (pair[1]["kind"] == "device", len(pair[0]), pair[0])))
