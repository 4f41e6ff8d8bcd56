"""Protocols for people: who runs what, and what is on the air."""

from __future__ import annotations

from collections.abc import Callable

from gainnet.core.types import NodeId
from gainnet.generation.assemble import build_network, build_plan
from gainnet.generation.config import GenerationConfig
from gainnet.models.loading import load_model
from gainnet.network.scenario import DEVICE, EDGE
from gainnet.protocols import PROTOCOLS
from gainnet.protocols.plan import Compute, Plan, Transfer


def describe_protocols() -> list[dict[str, str]]:
    """One row per protocol, read off the plan it really builds for the shipped model."""
    model = load_model()
    rows = []
    for name, protocol in PROTOCOLS.items():
        config = GenerationConfig(("a red star",), protocol=name)
        plan = build_plan(config, model, build_network(config))
        rows.append(
            {
                "protocol": name,
                "edge runs": _computed(plan, EDGE),
                "device runs": _computed(plan, DEVICE),
                "on the air": _sent(plan),
                "what it is": _first_line(protocol),
            }
        )
    return rows


def _computed(plan: Plan, node: NodeId) -> str:
    parts = [s.part.name for s in plan.steps if isinstance(s, Compute) and s.node == node and s.part.role != "prior"]
    return ", ".join(parts) or "–"


def _sent(plan: Plan) -> str:
    return "; ".join(step.label for step in plan.steps if isinstance(step, Transfer)) or "–"


def _first_line(function: Callable[..., object]) -> str:
    return (function.__doc__ or "").strip().splitlines()[0]
