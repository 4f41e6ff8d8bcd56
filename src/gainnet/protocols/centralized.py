"""The two ends of the scale: everything on the edge, and everything on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from gainnet.codecs import Codecs, Kind
from gainnet.core.errors import ConfigError, check_range
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.drafts import draft_part
from gainnet.models.renamed import rename
from gainnet.network.scenario import DEVICE
from gainnet.protocols.plan import Compute, Edges, Plan, Transfer
from gainnet.protocols.rescue import resilient
from gainnet.protocols.shares import only_edge
from gainnet.protocols.task import IMAGE, Task


@final
@dataclass(frozen=True)
class Centralized:
    """The edge generates, the air carries the coded image (baseline).

    device: prompt (and coded picture) ==up==> edge: everything ==image down==> device
    """

    sends: ClassVar[tuple[Kind, ...]] = ("prompt", "image")
    max_edges: ClassVar[int] = 1

    def plan(self, model: DiffusionModel, codecs: Codecs, edges: Edges, strength: float | None = None) -> Plan:
        task, edge = Task.of(model, strength), only_edge(edges)
        # The edge encodes the picture, so it is sent as pixels and not as a latent.
        picture = () if task.encoder is None else (Transfer(DEVICE, edges, "picture", codecs.image),)
        encoded = () if task.encoder is None else (Compute(edge, task.encoder),)
        steps = (
            Transfer(DEVICE, edges, "prompt", codecs.prompt),
            *picture,
            *encoded,
            Compute(edge, task.begin()),
            *task.infer(edge, 0, task.num_steps),
            Compute(edge, model.decoder),
            Transfer(edge, (DEVICE,), "image", codecs.image),
        )
        return resilient(Plan(steps, IMAGE), task, edges)


@final
@dataclass(frozen=True)
class DeviceOnly:
    """The device generates alone, nothing is sent (baseline).

    Args:
        fast: passes of the fast model that was distilled from the model, where it is installed; the model itself runs
            when `None`.
    """

    fast: int | None = None
    sends: ClassVar[tuple[Kind, ...]] = ()
    max_edges: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check_range(self.fast is None or self.fast >= 1, "fast", self.fast, "1 or more passes")

    def plan(self, model: DiffusionModel, codecs: Codecs, edges: Edges, strength: float | None = None) -> Plan:
        task = Task.of(model, strength)
        if self.fast is None:
            return Plan(task.whole(DEVICE), IMAGE)
        if strength is not None:
            raise ConfigError("fast: the fast model begins with noise, not with a picture; leave it out")
        steps = rename(draft_part(model, f"fast-{self.fast}"), {"latent": task.latent(0)}, {"draft": "latent"})
        parts = task.begin(), model.text_encoder, steps, model.decoder
        return Plan(tuple(Compute(DEVICE, part) for part in parts), IMAGE)
