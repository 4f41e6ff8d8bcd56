"""Mobile edge generation with edges that share one generation over the backhaul.

Definitions as in Zhong et al. (IEEE Network 2024); expansions of their acronyms inferred.
"""

from __future__ import annotations

from collections.abc import Sequence

from gainnet.codecs.codec import AnyCodec
from gainnet.core.types import NodeId
from gainnet.models.diffusion import DiffusionModel
from gainnet.network.scenario import DEVICE, EDGE
from gainnet.protocols.cooperation import cooperate
from gainnet.protocols.plan import Arrived, Compute, Plan, Step, Transfer
from gainnet.protocols.rescue import resilient
from gainnet.protocols.shares import asked, handed_over
from gainnet.protocols.sketching import completed, sketcher
from gainnet.protocols.task import IMAGE, Task


def uidcg(
    model: DiffusionModel,
    prompt_codec: AnyCodec,
    seed_codec: AnyCodec,
    midway_codec: AnyCodec,
    image_codec: AnyCodec,
    edges: tuple[NodeId, ...] = (EDGE,),
    cut: int | None = None,
    cooperation: str | None = None,
    strength: float | None = None,
) -> Plan:
    """User-equipment inferencing, distributed cooperative generating: edges share what the device began.

    device: first steps ==prompt, seed up==> edges: other steps together, decoder on one ==image down==> device

    Args:
        model: whose parts run.
        prompt_codec: carries the prompt.
        seed_codec: carries the latent of the picture.
        midway_codec: carries a latent between two steps.
        image_codec: carries the picture back.
        edges: that share the steps.
        cut: steps on the device; 1 by default, 0 with a picture.
        cooperation: `pipeline`, `guidance` or `regions`; see `cooperate`.
        strength: of image-to-image.
    """
    task = Task.of(model, strength)
    at = task.cut(cut, default=1 if task.encoder is None else 0)
    shared = cooperate(task, edges, at, cooperation)
    steps = (
        Transfer(DEVICE, tuple(edges), "prompt", prompt_codec),
        *handed_over(task, edges, at, seed_codec, midway_codec),
        *shared.steps,
        Compute(shared.ends_on, model.decoder),
        Transfer(shared.ends_on, (DEVICE,), "image", image_codec),
    )

    def alone(alive: Sequence[NodeId], arrived: Arrived) -> list[Plan]:
        return [
            Plan((*task.whole(edge, arrived), Transfer(edge, (DEVICE,), "image", image_codec)), IMAGE) for edge in alive
        ]

    return resilient(Plan(steps, IMAGE), task, edges, alone)


def dcsuc(
    model: DiffusionModel,
    prompt_codec: AnyCodec,
    seed_codec: AnyCodec,
    sketch_codec: AnyCodec,
    edges: tuple[NodeId, ...] = (EDGE,),
    cooperation: str | None = None,
    strength: float | None = None,
) -> Plan:
    """Distributed cooperative sketching, user-equipment completing: edges share one generation, one sends its sketch.

    device: prompt ==up==> edges: all steps together, decoder and sketch on one ==sketch down==> device: completing

    What the device makes is compared with the picture of that edge.

    Args:
        model: whose parts run.
        prompt_codec: carries the prompt.
        seed_codec: carries the latent of the picture up.
        sketch_codec: carries the sketch: an `EdgeMap` that of the outlines, any other one a small picture.
        edges: that share the steps.
        cooperation: `pipeline`, `guidance` or `regions`; see `cooperate`.
        strength: of image-to-image.
    """
    task = Task.of(model, strength)
    shared = cooperate(task, edges, 0, cooperation)

    def sketched(edge: NodeId) -> tuple[Step, ...]:
        drawn = Compute(edge, sketcher(model, sketch_codec))
        return drawn, Transfer(edge, (DEVICE,), "sketch", sketch_codec), *completed(task, sketch_codec)

    def alone(alive: Sequence[NodeId], arrived: Arrived) -> list[Plan]:
        if (DEVICE, "sketch") in arrived:
            return [Plan(completed(task, sketch_codec), IMAGE)]
        return [Plan((*task.whole(edge, arrived), *sketched(edge)), IMAGE) for edge in alive]

    begun = asked(task, edges, prompt_codec, seed_codec)
    steps = (*begun, *shared.steps, Compute(shared.ends_on, model.decoder), *sketched(shared.ends_on))
    return resilient(Plan(steps, IMAGE, reference=(shared.ends_on, "image")), task, edges, alone)
