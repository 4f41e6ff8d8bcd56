"""Partial pictures: what shorter prefixes of a nested seed show, or what the denoiser thinks while it is at work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.codecs import AnyCodec
from gainnet.core.randomness import Random
from gainnet.core.types import Payload, Size, Spec, Symbols
from gainnet.models.diffusion import DiffusionModel
from gainnet.network import DEVICE
from gainnet.protocols.plan import Compute, Plan, Transfer
from gainnet.service.engine.request import Progress
from gainnet.service.http.picture import encoded_picture


@final
@dataclass(frozen=True, eq=False)
class Preview:
    """Shows the first picture of a request before it is finished.

    Args:
        model: the engine's, with the sampler of the request.
        num_partial: pictures that are shown, 1 to 3.
        kind: format of the files.
        show: called with index and file of each.
        source: digital source type of the files; they state none where `None`.
    """

    model: DiffusionModel
    num_partial: int
    kind: str
    show: Callable[[int, bytes], None]
    source: str | None = None

    def tell(self, index: int, latents: Tensor) -> None:
        """Shows one.

        Args:
            index: of the partial picture, from 0.
            latents: [num_items, *latent], of which the first is decoded.
        """
        with torch.inference_mode():
            image = self.model.decoder({"latent": latents[:1]}, Random.of([0]))["image"][0]
        self.show(index, encoded_picture(image, self.kind, self.source))


@final
@dataclass(frozen=True, eq=False)
class Unfolding:
    """A nested codec whose decoder shows what the first of the symbols give, before it takes all of them.

    symbols[: k L / (n + 1)] --decode--> latent --> preview k, of n

    Args:
        codec: nested, of latents.
        preview: that shows them.
    """

    codec: AnyCodec
    preview: Preview
    emits: ClassVar[type[Payload]] = Symbols

    def size(self, spec: Spec) -> Size:
        """That of the codec."""
        return self.codec.size(spec)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Symbols:
        """[*batch, L], as the codec encodes; `x` is [*batch, *shape]."""
        symbols: Symbols = self.codec.encode(x, reported_snr)
        return symbols

    def decode(self, payload: Symbols, spec: Spec) -> Tensor:
        """[*batch, *spec.shape], as the codec decodes."""
        num_partial = self.preview.num_partial
        for index in range(num_partial):
            count = max(payload.num_symbols * (index + 1) // (num_partial + 1), 1)
            self.preview.tell(index, self.codec.decode(payload.first(count), spec))
        values: Tensor = self.codec.decode(payload, spec)
        return values


def unfolding(plan: Plan, preview: Preview) -> Plan | None:
    """The same plan, which shows prefixes of the seed that its device decodes; `None` where that seed is not nested.

    Args:
        plan: of a request.
        preview: that shows them.
    """
    decoded = {
        name for step in plan.steps
        if isinstance(step, Compute) and step.node == DEVICE and step.part.role == "decoder"
        for name in step.part.reads
    }  # fmt: skip
    steps = list(plan.steps)
    for index, step in enumerate(steps):
        is_seed = isinstance(step, Transfer) and DEVICE in step.targets and getattr(step.codec, "nested", False)
        if isinstance(step, Transfer) and is_seed and (step.arrives_as or step.tensor) in decoded:
            steps[index] = replace(step, codec=Unfolding(step.codec, preview))
            return replace(plan, steps=tuple(steps))
    return None


@final
class PartialImages:
    """Watches the passes of a request and shows some of its predictions.

        progress -> guided prediction -> clean latent -> preview

    The clean latent is that of a step, $\\hat z_0$; it grows sharper from step to step. Only the first picture of a
    request is shown, and only where whole latents are denoised: an edge that computes a region of it knows no more.

    Args:
        preview: that shows them, spread evenly over the steps.
        num_items: pictures of the request.
    """

    def __init__(self, preview: Preview, num_items: int) -> None:
        self._preview, self._num_items = preview, num_items
        num_steps, num_partial = preview.model.denoiser.num_steps, preview.num_partial
        # Neither the first noise nor the last step, which is the picture itself.
        spread = (round(k * num_steps / (num_partial + 1)) for k in range(1, num_partial + 1))
        self._steps = {step: index for index, step in enumerate(dict.fromkeys(spread)) if 0 < step < num_steps}

    def __call__(self, progress: Progress) -> None:
        """Called after each pass of the denoiser's network."""
        model, n = self._preview.model, self._num_items
        index = self._steps.get(progress.step)
        if index is None or progress.latent.shape[1:] != model.latent.shape:
            return
        denoiser, predicted = model.denoiser, progress.predicted[:1]
        if len(progress.predicted) == 2 * n:
            predicted = denoiser.guided(predicted, progress.predicted[n : n + 1])
        levels = denoiser.sampler.levels
        clean, _ = levels.read(progress.latent[:1], predicted, levels.power(progress.timestep[:1]))
        self._preview.tell(index, clean)
