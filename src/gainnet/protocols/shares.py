"""Steps that several protocols begin with."""

from __future__ import annotations

from gainnet.codecs import Codecs, Float32
from gainnet.core.errors import ConfigError
from gainnet.core.types import NodeId
from gainnet.network.scenario import DEVICE
from gainnet.protocols.plan import Compute, Edges, Step, Transfer
from gainnet.protocols.task import Task


def only_edge(edges: Edges) -> NodeId:
    """The edge of a protocol for one edge; raises `ConfigError` when there are others."""
    if len(edges) != 1:
        raise ConfigError(f"num_edges: the protocol is for 1 edge, not {len(edges)}; choose another protocol")
    return edges[0]


def edges_begin(task: Task, edges: Edges, codecs: Codecs) -> tuple[Step, ...]:
    """The prompt and the latent of a picture, if there is one, go up to all edges, which make the same latent[0].

    device: image encoder ==prompt, origin up==> edges: latent[0]
    """
    agreed = () if task.encoder is None else agree(edges, "origin")
    return *prompt_to_edges(task, edges, codecs), *agreed, *(Compute(edge, task.begin()) for edge in edges)


def prompt_to_edges(task: Task, edges: Edges, codecs: Codecs) -> tuple[Step, ...]:
    """The prompt and the latent of a picture, if there is one, go up to all edges at once."""
    prompt = Transfer(DEVICE, edges, "prompt", codecs.prompt)
    if task.encoder is None:
        return (prompt,)
    return prompt, Compute(DEVICE, task.encoder), Transfer(DEVICE, edges, "origin", codecs.seed)


def device_begins(task: Task, edges: Edges, cut: int, codecs: Codecs) -> tuple[Step, ...]:
    """The device takes the first steps, and the latent after them goes up to all edges at once.

    device: first steps ==latent[cut] up==> edges;  with a cut of 0 the origin goes up, or nothing but the prompt
    """
    encoded = () if task.encoder is None else (Compute(DEVICE, task.encoder),)
    begun = tuple(Compute(edge, task.begin()) for edge in edges)
    if cut > 0:
        # After the last step the latent is a finished one, for which there are better codes.
        codec = codecs.seed if cut == task.num_steps else codecs.midway
        latent = task.latent(cut)
        first = (Compute(DEVICE, task.begin()), *task.infer(DEVICE, 0, cut))
        return *encoded, *first, Transfer(DEVICE, edges, latent, codec), *agree(edges, latent)
    if task.encoder is None:
        return begun
    return *encoded, Transfer(DEVICE, edges, "origin", codecs.seed), *agree(edges, "origin"), *begun


def agree(edges: Edges, tensor: str) -> tuple[Transfer, ...]:
    """The first edge forwards the tensor that it received to the others.

    Receivers of one broadcast see different noise, and edges that share a generation need equal tensors. An edge keeps
    its own version when the first edge dies.
    """
    return tuple(Transfer(edges[0], (other,), tensor, Float32()) for other in edges[1:])
