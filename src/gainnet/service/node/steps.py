"""A plan as plain values, for devices that show it or cannot make it themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gainnet.catalog import text_of
from gainnet.codecs import AnyCodec
from gainnet.core.errors import ConfigError
from gainnet.core.plugins import snake_case
from gainnet.core.types import Place, Spec
from gainnet.protocols.plan import Compute, Step
from gainnet.service.node.order import Order


def described(order: Order) -> dict[str, Any]:
    """Nodes, steps, codecs and the place of the result of an order, as JSON."""
    network, plan = order.planned.network, order.planned.plan
    specs = plan.check(network, order.given)
    return {
        "nodes": list(network.nodes),
        "batch": list(order.random.batch),
        "codecs": {kind: text_of_codec(kind, codec) for kind, codec in order.planned.codecs.items()},
        "steps": [{"index": index, **_step(step, specs)} for index, step in enumerate(plan.steps)],
        "result": list(plan.result),
    }


def _step(step: Step, specs: Mapping[Place, Spec]) -> dict[str, Any]:
    if isinstance(step, Compute):
        part = step.part
        writes = {name: list(spec.shape) for name, spec in part.writes.items()}
        return {"node": step.node, "part": part.name, "role": part.role, "reads": list(part.reads), "writes": writes}
    return {
        "source": step.source,
        "targets": list(step.targets),
        "tensor": step.tensor,
        "arrives_as": step.arrives_as or step.tensor,
        "shape": list(specs[step.source, step.tensor].shape),
        "codec": snake_case(type(step.codec).__name__),
        "emits": step.codec.emits.__name__.lower(),
        "num_channel_uses": getattr(step.codec, "num_channel_uses", None),
        # JSON has no infinity.
        "deadline_s": None if math.isinf(step.deadline_s) else step.deadline_s,
    }


def text_of_codec(kind: str, codec: AnyCodec) -> str:
    """The text of a codec of a kind; the name of its class where no text can say it."""
    try:
        return text_of(f"codec.{kind}", codec)
    except ConfigError:
        return snake_case(type(codec).__name__)
