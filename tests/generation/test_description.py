"""What the list of protocols says is what their plans are."""

from __future__ import annotations

from collections.abc import Iterable

from gainnet.core.types import NodeId
from gainnet.generation.advice import SEVERAL_EDGES
from gainnet.generation.cell import Cell
from gainnet.generation.description import describe_protocols
from gainnet.generation.planning import make_plan
from gainnet.models.loading import load_model
from gainnet.network.scenario import DEVICE
from gainnet.protocols import PROTOCOLS, Compute, Plan, Transfer


def test_m2_the_static_list_of_protocols_is_what_they_plan() -> None:
    model, described = load_model("scenes"), describe_protocols()
    assert [row["protocol"] for row in described] == list(PROTOCOLS)
    for row in described:
        protocol = PROTOCOLS[row["protocol"]]()
        cell = Cell(num_edges=SEVERAL_EDGES if protocol.max_edges > 1 else 1)
        made = make_plan(cell, protocol, model, ("a red star",))
        found = (computed(made.plan, made.network.edges), computed(made.plan, (DEVICE,)), sent(made.plan))
        assert (row["edge runs"], row["device runs"], row["on the air"]) == found, row["protocol"]


def computed(plan: Plan, nodes: Iterable[NodeId]) -> str:
    """Parts that think; crops, merges and the like are left out, and every part is named once."""
    steps = [s for s in plan.steps if isinstance(s, Compute) and s.node in set(nodes)]
    parts = [s.part.name.split("[")[0].split(" ->")[0] for s in steps if s.part.flops > 0]
    return ", ".join(dict.fromkeys(parts)) or "–"


def sent(plan: Plan) -> str:
    labels = (s.label for s in plan.steps if isinstance(s, Transfer) and DEVICE in (s.source, *s.targets))
    return "; ".join(dict.fromkeys(labels)) or "–"
