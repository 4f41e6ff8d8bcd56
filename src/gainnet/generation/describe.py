"""Protocols for people: who runs what, and what is on the air."""

from __future__ import annotations

from collections.abc import Iterable

from gainnet.core.types import NodeId
from gainnet.generation.assemble import build_network, build_plan
from gainnet.generation.config import GenerationConfig
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.network.scenario import DEVICE
from gainnet.protocols import PROTOCOLS, Protocol
from gainnet.protocols.plan import Compute, Plan, Transfer

PROMPT = "a red star"
TWO = 2
"""Edges of the protocols that take several, where nothing else is asked."""


def describe_protocols() -> list[dict[str, str]]:
    """One row per protocol, read off the plan it really builds for the shipped model; two edges where it takes them."""
    model = load_model()
    rows = []
    for name, protocol in PROTOCOLS.items():
        config = GenerationConfig((PROMPT,), protocol=name, num_edges=TWO if takes_edges(protocol) else 1)
        network = build_network(config)
        plan = build_plan(config, model, network)
        rows.append(
            {
                "protocol": name,
                "edges": "1 …" if takes_edges(protocol) else str(protocol.max_edges or "–"),
                "edge runs": _computed(plan, network.edges),
                "device runs": _computed(plan, (DEVICE,)),
                "on the air": _sent(plan),
                "what it is": _first_line(protocol),
            }
        )
    return rows


def plan_of(config: GenerationConfig, model: DiffusionModel | None = None) -> Plan:
    """The plan that a configuration builds, without running it.

    Raises:
        ConfigError: the configuration does not fit the protocol.
    """
    return build_plan(config, load_model() if model is None else model, build_network(config))


def takes_edges(protocol: type[Protocol]) -> bool:
    """Whether a protocol is for several edges.

    >>> takes_edges(PROTOCOLS["uidg"]), takes_edges(PROTOCOLS["eiug"])
    (True, False)
    """
    return protocol.max_edges > 1


def _computed(plan: Plan, nodes: Iterable[NodeId]) -> str:
    """Parts that think; crops, merges and the like are left out, and every part is named once."""
    steps = [s for s in plan.steps if isinstance(s, Compute) and s.node in set(nodes)]
    parts = [s.part.name.split("[")[0].split(" ->")[0] for s in steps if s.part.flops > 0]
    return ", ".join(dict.fromkeys(parts)) or "–"


def _sent(plan: Plan) -> str:
    sent = (s for s in plan.steps if isinstance(s, Transfer) and DEVICE in (s.source, *s.targets))
    return "; ".join(dict.fromkeys(s.label for s in sent)) or "–"


def _first_line(protocol: type[Protocol]) -> str:
    return (protocol.__doc__ or "").strip().splitlines()[0]
