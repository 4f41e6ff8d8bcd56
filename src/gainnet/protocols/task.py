"""The parts of one generation: from noise alone, or from a picture that the device has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Name
from gainnet.core.types import NodeId, Place
from gainnet.models.diffusion import Denoiser, DiffusionModel
from gainnet.models.image_to_image import from_picture
from gainnet.models.part import Part
from gainnet.models.renamed import rename
from gainnet.network.scenario import DEVICE
from gainnet.protocols.plan import Arrived, Compute

PROMPT: Place = (DEVICE, "prompt")
PICTURE: Place = (DEVICE, "picture")
IMAGE: Place = (DEVICE, "image")


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
        # The sampler skips its first steps, and the picture with noise takes the place of their outcome.
        noising, tail = from_picture(model, strength)
        encoder = rename(model.image_encoder, {"image": "picture"}, {"latent": "origin"})
        return Task(model, encoder, rename(noising, {"latent": "origin"}), tail)

    @property
    def num_steps(self) -> int:
        return self.denoiser.num_steps

    def latent(self, step: int) -> str:
        """Name of the latent after that many steps."""
        # Without a number it has the name that decoders read.
        return "latent" if step == self.num_steps else f"latent[{step}]"

    def begin(self, *stream: Name) -> Part:
        """Part that makes latent[0] with noise of the named stream; every node that runs it makes the same latent."""
        return rename(self.beginning, {}, {"latent": self.latent(0)}, stream)

    def steps(self, start: int, stop: int) -> Part:
        """Steps [start, stop) of the sampler: latent[start] to latent[stop]."""
        return rename(self.denoiser[start:stop], {"latent": self.latent(start)}, {"latent": self.latent(stop)})

    def cut(self, chosen: int | None, default: int) -> int:
        """Number of steps before the hand-over; raises `ConfigError` when the sampler takes fewer."""
        cut = min(default, self.num_steps) if chosen is None else chosen
        if not 0 <= cut <= self.num_steps:
            raise ConfigError(f"cut: {cut} is outside 0 to {self.num_steps}, the steps that run")
        return cut

    def cut_on_device(self, chosen: int | None) -> int:
        """Number of steps that a device takes first: 1 by default; 0 with a picture, whose latent it has already."""
        return self.cut(chosen, default=1 if self.encoder is None else 0)

    def infer(self, node: NodeId, start: int, stop: int) -> tuple[Compute, ...]:
        """Text encoder and steps [start, stop) on a node; nothing when there are none of them."""
        if start == stop:
            return ()
        # The condition is computed wherever it is needed: a prompt is much shorter than its condition.
        return Compute(node, self.model.text_encoder), Compute(node, self.steps(start, stop))

    def begun(self, node: NodeId, stop: int) -> tuple[Compute, ...]:
        """Everything up to the latent after `stop` steps on one node; a picture is encoded where it is."""
        # Only the device has the picture; an edge has its latent from a transfer.
        encoded = [Compute(node, self.encoder)] if self.encoder and node == DEVICE else []
        return *encoded, Compute(node, self.begin()), *self.infer(node, 0, stop)

    def whole(self, node: NodeId, arrived: Arrived = frozenset()) -> tuple[Compute, ...]:
        """Everything on one node, from the furthest latent that it has."""
        # A latent further on needs fewer steps, whoever made it.
        known = [k for k in range(self.num_steps + 1) if (node, self.latent(k)) in arrived]
        left = self.infer(node, known[-1], self.num_steps) if known else self.begun(node, self.num_steps)
        return *left, Compute(node, self.model.decoder)
