"""Mobile edge generation with edges that share one generation over the backhaul.

Definitions as in Zhong et al. (IEEE Network 2024); expansions of their acronyms inferred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from gainnet.codecs import Codecs, Kind
from gainnet.core.types import NodeId
from gainnet.models.diffusion import DiffusionModel
from gainnet.network.scenario import DEVICE
from gainnet.protocols.cooperation import Cooperation, cooperate
from gainnet.protocols.plan import Arrived, Compute, Edges, Plan, Step, Transfer
from gainnet.protocols.protocol import MANY_EDGES
from gainnet.protocols.rescue import resilient
from gainnet.protocols.shares import device_begins, edges_begin
from gainnet.protocols.sketching import completed, sketcher
from gainnet.protocols.task import IMAGE, Task


@final
@dataclass(frozen=True)
class Uidcg:
    """User-equipment inferencing, distributed cooperative generating: edges share what the device began.

    device: first steps ==prompt, seed up==> edges: other steps together, decoder on one ==image down==> device

    Args:
        cut: steps on the device; 1 by default, 0 with a picture.
        cooperation: how edges share the steps; guidance for two edges and a guided model, else a pipeline, by default.
    """

    cut: int | None = None
    cooperation: Cooperation | None = None
    sends: ClassVar[tuple[Kind, ...]] = ("prompt", "seed", "midway", "image")
    resumes: ClassVar[bool] = False
    max_edges: ClassVar[int] = MANY_EDGES

    def plan(self, model: DiffusionModel, codecs: Codecs, edges: Edges, strength: float | None = None) -> Plan:
        task = Task.of(model, strength)
        cut = task.cut_on_device(self.cut)
        shared = cooperate(task, edges, cut, self.cooperation)
        steps = (
            Transfer(DEVICE, edges, "prompt", codecs.prompt),
            *device_begins(task, edges, cut, codecs),
            *shared.steps,
            Compute(shared.ends_on, model.decoder),
            Transfer(shared.ends_on, (DEVICE,), "image", codecs.image),
        )

        def on_one_edge(alive: Sequence[NodeId], arrived: Arrived) -> list[Plan]:
            down = {edge: Transfer(edge, (DEVICE,), "image", codecs.image) for edge in alive}
            return [Plan((*task.whole(edge, arrived), down[edge]), IMAGE) for edge in alive]

        return resilient(Plan(steps, IMAGE), task, edges, on_one_edge)

    def step_of_hand_over(self, model: DiffusionModel, strength: float | None = None) -> int:
        task = Task.of(model, strength)
        return task.denoiser.start + task.cut_on_device(self.cut)


@final
@dataclass(frozen=True)
class Dcsuc:
    """Distributed cooperative sketching, user-equipment completing: edges share one generation, one sends its sketch.

    device: prompt ==up==> edges: all steps together, decoder and sketch on one ==sketch down==> device: completing

    What the device makes is compared with the picture of that edge. An `EdgeMap` carries its outlines, any other codec
    a small version of it.

    Args:
        cooperation: how edges share the steps; guidance for two edges and a guided model, else a pipeline, by default.
    """

    cooperation: Cooperation | None = None
    sends: ClassVar[tuple[Kind, ...]] = ("prompt", "seed", "sketch")
    max_edges: ClassVar[int] = MANY_EDGES

    def plan(self, model: DiffusionModel, codecs: Codecs, edges: Edges, strength: float | None = None) -> Plan:
        task = Task.of(model, strength)
        shared = cooperate(task, edges, 0, self.cooperation)

        def from_sketch_of(edge: NodeId) -> tuple[Step, ...]:
            drawn = Compute(edge, sketcher(model, codecs.sketch))
            return drawn, Transfer(edge, (DEVICE,), "sketch", codecs.sketch), *completed(task, codecs.sketch)

        def on_one_edge(alive: Sequence[NodeId], arrived: Arrived) -> list[Plan]:
            if (DEVICE, "sketch") in arrived:
                return [Plan(completed(task, codecs.sketch), IMAGE)]
            return [Plan((*task.whole(edge, arrived), *from_sketch_of(edge)), IMAGE) for edge in alive]

        steps = (
            *edges_begin(task, edges, codecs),
            *shared.steps,
            Compute(shared.ends_on, model.decoder),
            *from_sketch_of(shared.ends_on),
        )
        return resilient(Plan(steps, IMAGE, reference=(shared.ends_on, "image")), task, edges, on_one_edge)
