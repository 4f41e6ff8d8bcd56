"""What is generated: from noise alone, or from a picture that the device has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Name, Random
from gainnet.core.types import NodeId, Place, Spec, Tensors
from gainnet.models.diffusion import Denoiser, DiffusionModel
from gainnet.models.image_to_image import from_picture
from gainnet.models.part import Part, Role
from gainnet.network.scenario import DEVICE
from gainnet.protocols.plan import Arrived, Compute

PROMPT: Place = (DEVICE, "prompt")
PICTURE: Place = (DEVICE, "picture")
IMAGE: Place = (DEVICE, "image")


@final
@dataclass(frozen=True)
class Staged:
    """A part that reads and writes under other names, so that tensors before and after it can be told apart.

    latent[3] --[ as latent ]--> part --[ latent as ]--> latent[5]

    Args:
        part: what runs.
        reads_as: where it finds what it reads, by the part's own name; names that are not listed stay.
        writes_as: likewise for what it writes.
        stream: names that the random streams are descended by.
        share: of the whole part's work that is done, for its price; less than 1 for a region.
    """

    part: Part
    reads_as: Mapping[str, str] = field(default_factory=dict)
    writes_as: Mapping[str, str] = field(default_factory=dict)
    stream: tuple[Name, ...] = ()
    share: float = 1.0

    @property
    def name(self) -> str:
        return self.part.name

    @property
    def role(self) -> Role:
        return self.part.role

    @property
    def num_passes(self) -> float:
        return self.share * self.part.num_passes

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(self.reads_as.get(key, key) for key in self.part.reads)

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {self.writes_as.get(key, key): spec for key, spec in self.part.writes.items()}

    @property
    def flops(self) -> float:
        return self.part.flops

    @property
    def memory_bytes(self) -> float:
        return self.part.memory_bytes

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        inputs = {key: tensors[self.reads_as.get(key, key)] for key in self.part.reads}
        made = self.part(inputs, random.child(*self.stream))
        return {self.writes_as.get(key, key): x for key, x in made.items()}


@final
@dataclass(frozen=True)
class Task:
    """The parts of one generation, with names that say after which step of the sampler a latent is.

    text to image   prompt -> text_encoder -> condition;  prior -> latent[0] -> denoiser -> latent -> decoder -> image
    image to image  picture -> image_encoder -> origin -> noising -> latent[0] -> denoiser -> latent -> decoder -> image

    Steps are counted from the first one that runs. `latent` without a number is the finished one.

    Args:
        model: whose parts run.
        encoder: picture to origin; `None` when there is no picture.
        beginning: makes latent[0].
        denoiser: the steps that run.
    """

    model: DiffusionModel
    encoder: Part | None
    beginning: Part
    denoiser: Denoiser

    @staticmethod
    def of(model: DiffusionModel, strength: float | None = None) -> Task:
        """Text to image, or image to image when there is a strength.

        Args:
            model: whose parts run.
            strength: share of the steps that change the picture, above 0 to 1.

        Raises:
            ConfigError: the strength is out of range or leaves no step.
        """
        if strength is None:
            return Task(model, None, model.prior, model.denoiser)
        noising, tail = from_picture(model, strength)
        encoder = Staged(model.image_encoder, {"image": "picture"}, {"latent": "origin"})
        return Task(model, encoder, Staged(noising, {"latent": "origin"}), tail)

    @property
    def num_steps(self) -> int:
        return self.denoiser.num_steps

    def latent(self, step: int) -> str:
        """Name of the latent after that many steps."""
        return "latent" if step == self.num_steps else f"latent[{step}]"

    def begin(self, *stream: Name) -> Part:
        """What makes latent[0], with noise of the named stream; all nodes make the same of one stream."""
        return Staged(self.beginning, {}, {"latent": self.latent(0)}, stream)

    def steps(self, start: int, stop: int) -> Part:
        """Steps [start, stop) of the sampler: latent[start] to latent[stop]."""
        return Staged(self.denoiser[start:stop], {"latent": self.latent(start)}, {"latent": self.latent(stop)})

    def cut(self, asked: int | None, default: int) -> int:
        """How many steps run before the hand-over; raises `ConfigError` when there are not so many."""
        cut = min(default, self.num_steps) if asked is None else asked
        if not 0 <= cut <= self.num_steps:
            raise ConfigError(f"cut: {cut} is outside 0 to {self.num_steps}, the steps that run")
        return cut

    def infer(self, node: NodeId, start: int, stop: int) -> tuple[Compute, ...]:
        """Text encoder and steps [start, stop) on a node; nothing when there are none of them."""
        if start == stop:
            return ()
        return Compute(node, self.model.text_encoder), Compute(node, self.steps(start, stop))

    def begun(self, node: NodeId, stop: int) -> tuple[Compute, ...]:
        """Everything up to the latent after `stop` steps on one node; a picture is encoded where it is."""
        encoded = [Compute(node, self.encoder)] if self.encoder and node == DEVICE else []
        return *encoded, Compute(node, self.begin()), *self.infer(node, 0, stop)

    def whole(self, node: NodeId, arrived: Arrived = frozenset()) -> tuple[Compute, ...]:
        """Everything on one node, from the furthest latent that it has."""
        known = [k for k in range(self.num_steps + 1) if (node, self.latent(k)) in arrived]
        left = self.infer(node, known[-1], self.num_steps) if known else self.begun(node, self.num_steps)
        return *left, Compute(node, self.model.decoder)
