"""Protocols for people: who runs what, and what is on the air."""

from __future__ import annotations

from collections.abc import Iterable

from gainnet.core.types import NodeId
from gainnet.generation.advice import SEVERAL_EDGES
from gainnet.generation.cell import Cell
from gainnet.generation.planning import make_plan
from gainnet.models.diffusion import DiffusionModel
from gainnet.network.scenario import DEVICE
from gainnet.protocols import PROTOCOLS, Compute, Plan, Transfer


def describe_protocols(model: DiffusionModel) -> list[dict[str, str]]:
    """One row per protocol, read off the plan that it builds; with two edges where it takes several.

    Args:
        model: whose parts run.
    """
    rows = []
    for name, protocol in PROTOCOLS.items():
        several = protocol.max_edges > 1
        cell = Cell(num_edges=SEVERAL_EDGES if several else 1)
        made = make_plan(cell, protocol(), model, ("a red star",))
        rows.append(
            {
                "protocol": name,
                "edges": "1 …" if several else str(protocol.max_edges or "–"),
                "edge runs": _computed(made.plan, made.network.edges),
                "device runs": _computed(made.plan, (DEVICE,)),
                "on the air": _sent(made.plan),
                "what it is": (protocol.__doc__ or "").strip().splitlines()[0],
            }
        )
    return rows


def _computed(plan: Plan, nodes: Iterable[NodeId]) -> str:
    """Parts that think; crops, merges and the like are left out, and every part is named once."""
    steps = [s for s in plan.steps if isinstance(s, Compute) and s.node in set(nodes)]
    parts = [s.part.name.split("[")[0].split(" ->")[0] for s in steps if s.part.flops > 0]
    return ", ".join(dict.fromkeys(parts)) or "–"


def _sent(plan: Plan) -> str:
    sent = (s for s in plan.steps if isinstance(s, Transfer) and DEVICE in (s.source, *s.targets))
    return "; ".join(dict.fromkeys(s.label for s in sent)) or "–"
