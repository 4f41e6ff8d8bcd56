"""Partial pictures: what the denoiser thinks the picture will be, while it is being made."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch

from gainnet.core.randomness import Random
from gainnet.models.diffusion import DiffusionModel
from gainnet.service.engine.request import Progress
from gainnet.service.http.picture import encoded_picture


@final
class PartialImages:
    """Watches the passes of a request and shows some of its predictions.

        progress -> guided prediction -> clean latent -> decoder -> file

    The clean latent is that of a step, $\\hat z_0$; it grows sharper from step to step. Only the first picture of a
    request is shown, and only where whole latents are denoised: an edge that computes a region of it knows no more.

    Args:
        model: the engine's, with the sampler of the request.
        num_items: pictures of the request.
        num_partial: how many are shown, spread evenly over the steps.
        kind: format of the files.
        show: called with index and file of each.
        source: digital source type of the files; they state none where `None`.
    """

    def __init__(
        self,
        model: DiffusionModel,
        num_items: int,
        num_partial: int,
        kind: str,
        show: Callable[[int, bytes], None],
        source: str | None = None,
    ) -> None:
        self._source = source
        self._model, self._num_items, self._kind, self._show = model, num_items, kind, show
        num_steps = model.denoiser.num_steps
        # Neither the first noise nor the last step, which is the picture itself.
        spread = (round(k * num_steps / (num_partial + 1)) for k in range(1, num_partial + 1))
        self._steps = {step: index for index, step in enumerate(dict.fromkeys(spread)) if 0 < step < num_steps}

    def __call__(self, progress: Progress) -> None:
        """Called after each pass of the denoiser's network."""
        index = self._steps.get(progress.step)
        if index is None or progress.latent.shape[1:] != self._model.latent.shape:
            return
        denoiser, n = self._model.denoiser, self._num_items
        predicted = progress.predicted[:1]
        if len(progress.predicted) == 2 * n:
            predicted = denoiser.guided(predicted, progress.predicted[n : n + 1])
        power = denoiser.pipeline.scheduler.alphas_cumprod[progress.timestep[0].long()]
        clean = denoiser.clean(progress.latent[:1], predicted, power.sqrt(), (1 - power).sqrt())
        with torch.inference_mode():
            image = self._model.decoder({"latent": clean}, Random.of([0]))["image"][0]
        self._show(index, encoded_picture(image, self._kind, self._source))
