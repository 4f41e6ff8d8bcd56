"""Steps that several protocols begin with."""

from __future__ import annotations

from collections.abc import Sequence

from gainnet.codecs import Float32
from gainnet.codecs.codec import AnyCodec
from gainnet.core.types import NodeId
from gainnet.network.scenario import DEVICE
from gainnet.protocols.plan import Compute, Step, Transfer
from gainnet.protocols.task import Task


def asked(task: Task, edges: Sequence[NodeId], prompt_codec: AnyCodec, seed_codec: AnyCodec) -> tuple[Step, ...]:
    """The prompt and, if there is a picture, its latent go up to all edges, which make the same latent[0].

    device: image encoder ==prompt, origin up==> edges: latent[0]
    """
    begun = (Compute(edge, task.begin()) for edge in edges)
    same = () if task.encoder is None else agreed(edges, "origin")
    return *told(task, edges, prompt_codec, seed_codec), *same, *begun


def told(task: Task, edges: Sequence[NodeId], prompt_codec: AnyCodec, seed_codec: AnyCodec) -> tuple[Step, ...]:
    """The prompt and, if there is a picture, its latent go up to all edges at once."""
    prompt = Transfer(DEVICE, tuple(edges), "prompt", prompt_codec)
    if task.encoder is None:
        return (prompt,)
    return prompt, Compute(DEVICE, task.encoder), Transfer(DEVICE, tuple(edges), "origin", seed_codec)


def handed_over(
    task: Task, edges: Sequence[NodeId], cut: int, seed_codec: AnyCodec, midway_codec: AnyCodec
) -> tuple[Step, ...]:
    """The device takes the first steps, and the latent after them goes up to all edges at once.

    device: first steps ==latent[cut] up==> edges;  with a cut of 0 the origin goes up, or nothing but the prompt
    """
    encoded = () if task.encoder is None else (Compute(DEVICE, task.encoder),)
    if cut > 0:
        codec = seed_codec if cut == task.num_steps else midway_codec
        sent = Transfer(DEVICE, tuple(edges), task.latent(cut), codec)
        begun = (Compute(DEVICE, task.begin()), *task.infer(DEVICE, 0, cut))
        return *encoded, *begun, sent, *agreed(edges, task.latent(cut))
    if task.encoder is None:
        return tuple(Compute(edge, task.begin()) for edge in edges)
    origin = Transfer(DEVICE, tuple(edges), "origin", seed_codec)
    return *encoded, origin, *agreed(edges, "origin"), *(Compute(edge, task.begin()) for edge in edges)


def agreed(edges: Sequence[NodeId], tensor: str) -> tuple[Transfer, ...]:
    """The first edge forwards what it received, since receivers see different noise and have to agree.

    An edge keeps what it received itself when the first one dies.
    """
    return tuple(Transfer(edges[0], (other,), tensor, Float32()) for other in edges[1:])
