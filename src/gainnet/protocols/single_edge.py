"""Mobile edge generation with one edge and one device.

The definitions are those of Zhong et al. (IEEE Network 2024, IEEE Internet of Things Journal 2025); the expansions of
their acronyms are inferred. The device always has the prompt, the picture when there is one, and needs the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from gainnet.codecs import Codecs, Kind, MatchedSeed
from gainnet.core.types import NodeId
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.hand_over import hand_down, hand_over
from gainnet.models.renamed import rename
from gainnet.network.scenario import DEVICE
from gainnet.protocols.annealing import check_annealing, seed_search
from gainnet.protocols.candidates import best_candidate, num_useful_candidates
from gainnet.protocols.cooperative import Uidcg
from gainnet.protocols.plan import Compute, Edges, Plan, Step, Transfer
from gainnet.protocols.rescue import resilient
from gainnet.protocols.shares import edges_begin, only_edge
from gainnet.protocols.sketching import completed, sketcher
from gainnet.protocols.task import IMAGE, Task


@final
@dataclass(frozen=True)
class Uieg:
    """User-equipment inferencing, edge generating: the device begins, the edge finishes and sends the picture back.

    device: text encoder, first steps ==prompt, seed up==> edge: other steps, decoder ==image down==> device

    The condition is a function of the prompt, so the prompt is its shortest code. With a picture and a cut of 0, the
    seed is the picture's latent, and both ends make the same noise.

    Args:
        cut: steps on the device; 1 by default, 0 with a picture.
    """

    cut: int | None = None
    sends: ClassVar[tuple[Kind, ...]] = ("prompt", "seed", "midway", "image")
    resumes: ClassVar[bool] = False
    max_edges: ClassVar[int] = 1

    def plan(self, model: DiffusionModel, codecs: Codecs, edges: Edges, strength: float | None = None) -> Plan:
        only_edge(edges)
        # Edges that share the other steps as a pipeline, of which there is one.
        return Uidcg(self.cut, "pipeline").plan(model, codecs, edges, strength)

    def step_of_hand_over(self, model: DiffusionModel, strength: float | None = None) -> int:
        return Uidcg(self.cut).step_of_hand_over(model, strength)


@final
@dataclass(frozen=True)
class Eiug:
    """Edge inferencing, user-equipment generating: the edge denoises, the device decodes.

    device: prompt ==up==> edge: text encoder, prior, denoiser ==seed down==> device: decoder

    Args:
        annealing: steps of a search of the edge for the latent to send, the one whose coded form makes the picture for
            the least bits, for transform codes; 300 save about a quarter of the bits. 0 sends the finished latent.

    >>> from gainnet.codecs import Codecs, LinearCode
    >>> from gainnet.models.loading import load_model
    >>> from gainnet.network import edge_names
    >>> plan = Eiug().plan(load_model("scenes", num_steps=2), Codecs(seed=LinearCode(256)), edge_names(1))
    >>> for step in plan.steps:
    ...     print(step.label)
    prompt: device -> edge
    prior @ edge
    text_encoder @ edge
    denoiser[0:2] @ edge
    latent: edge -> device
    decoder @ device
    """

    annealing: int = 0
    sends: ClassVar[tuple[Kind, ...]] = ("prompt", "seed")
    max_edges: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_annealing(self.annealing)

    def plan(self, model: DiffusionModel, codecs: Codecs, edges: Edges, strength: float | None = None) -> Plan:
        task, edge = Task.of(model, strength), only_edge(edges)
        steps = (
            *edges_begin(task, edges, codecs),
            *task.infer(edge, 0, task.num_steps),
            *((Compute(edge, seed_search(model, codecs.seed, self.annealing)),) if self.annealing else ()),
            Transfer(edge, (DEVICE,), "latent", codecs.seed),
            Compute(DEVICE, model.decoder),
        )
        return resilient(Plan(steps, IMAGE), task, edges)


@final
@dataclass(frozen=True)
class Ciag:
    """Cooperative inferencing and generating: the edge begins, the device takes the last steps and decodes.

    device: prompt ==up==> edge: text encoder, first steps ==latent[cut] down==> device: last steps, decoder

    The device encodes the prompt itself, which is cheaper than receiving the condition. A `MatchedSeed` reports how
    noisy the latent arrived, and the device resumes at the noise level that it really has; any other codec hands over a
    latent that is taken as the one that was sent.

    Args:
        cut: steps on the edge; all but one by default.

    >>> Ciag(cut=3).sends
    ('prompt', 'seed', 'midway')
    >>> Ciag(cut=3) == Ciag(3), Ciag.max_edges, Ciag.resumes
    (True, 1, True)
    """

    cut: int | None = None
    sends: ClassVar[tuple[Kind, ...]] = ("prompt", "seed", "midway")
    max_edges: ClassVar[int] = 1
    resumes: ClassVar[bool] = True

    def plan(self, model: DiffusionModel, codecs: Codecs, edges: Edges, strength: float | None = None) -> Plan:
        task, edge = Task.of(model, strength), only_edge(edges)
        cut = self._cut(task)
        steps = (
            *edges_begin(task, edges, codecs),
            *task.infer(edge, 0, cut),
            *_rest_on_device(task, edge, cut, codecs),
            Compute(DEVICE, model.decoder),
        )
        return resilient(Plan(steps, IMAGE), task, edges)

    def step_of_hand_over(self, model: DiffusionModel, strength: float | None = None) -> int:
        task = Task.of(model, strength)
        return task.denoiser.start + self._cut(task)

    def _cut(self, task: Task) -> int:
        return task.cut(self.cut, default=max(task.num_steps - 1, 0))


def _rest_on_device(task: Task, edge: NodeId, cut: int, codecs: Codecs) -> tuple[Step, ...]:
    """The latent after some steps comes down, and the device takes the other steps."""
    if cut == task.num_steps:
        return (Transfer(edge, (DEVICE,), "latent", codecs.seed),)
    latent = task.latent(cut)
    if not isinstance(codecs.midway, MatchedSeed):
        return Transfer(edge, (DEVICE,), latent, codecs.midway), *task.infer(DEVICE, cut, task.num_steps)
    # The receiver appends the noise variance to the latent, so the tensor that is sent has a place for it.
    handed = f"handed[{cut}]"
    return (
        Compute(edge, rename(hand_down(task.model.latent), {"latent": latent}, {"handed": handed})),
        Transfer(edge, (DEVICE,), handed, codecs.midway),
        Compute(DEVICE, task.model.text_encoder),
        Compute(DEVICE, rename(hand_over(task.denoiser[cut:]), {"handed": handed})),
    )


@final
@dataclass(frozen=True)
class Esuc:
    """Edge sketching, user-equipment completing: the edge sends a sketch of its best picture, the device completes it.

    device: prompt ==up==> edge: candidates, the best of them, its sketch ==sketch down==> device: image-to-image

    What the device makes is compared with the picture that the edge chose. An `EdgeMap` carries the outlines of that
    picture, any other codec a small version of it.

    Args:
        num_candidates: pictures that the edge draws to choose from, at its own cost; the first is what it would make
            without a choice. By default several where a checker sees attributes, see `num_useful_candidates`.
    """

    num_candidates: int | None = None
    sends: ClassVar[tuple[Kind, ...]] = ("prompt", "seed", "sketch")
    max_edges: ClassVar[int] = 1

    def plan(self, model: DiffusionModel, codecs: Codecs, edges: Edges, strength: float | None = None) -> Plan:
        task, edge = Task.of(model, strength), only_edge(edges)
        num_candidates = num_useful_candidates(model) if self.num_candidates is None else self.num_candidates
        steps = (
            *edges_begin(task, edges, codecs),
            *best_candidate(task, edge, num_candidates),
            Compute(edge, sketcher(model, codecs.sketch)),
            Transfer(edge, (DEVICE,), "sketch", codecs.sketch),
            *completed(task, codecs.sketch),
        )
        return resilient(Plan(steps, IMAGE, reference=(edge, "image")), task, edges)
