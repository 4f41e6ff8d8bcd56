"""Pictures that show what a denoiser has learned: the same captions before and after, beside the devices' style."""

from __future__ import annotations

import io
from dataclasses import dataclass
from textwrap import fill
from typing import final

from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.learning.algorithms.adapters import denoiser_of
from gainnet.learning.algorithms.algorithm import Algorithm, State
from gainnet.models.denoising import draw_captions, with_denoiser
from gainnet.models.diffusion import DiffusionModel


@final
@dataclass(frozen=True, eq=False)
class Shown:
    """Captions that nobody trained on, and how devices would have drawn them.

    Args:
        model: whose denoiser learns.
        captions: a few.
        pictures: [num_captions, 3, height, width] in [0, 1], of the devices' style, under these captions.
    """

    model: DiffusionModel
    captions: tuple[str, ...]
    pictures: Tensor

    def drawn(self, algorithm: Algorithm, state: State) -> Tensor:
        """[num_captions, 3, height, width] in [0, 1], what the model of a state draws."""
        return draw_captions(with_denoiser(self.model, denoiser_of(algorithm.model_of(state))), self.captions)

    def sheet(self, algorithm: Algorithm, state: State) -> bytes:
        """A PNG file with three rows: before any round, after all, and the style that the devices have.

        Args:
            algorithm: of the rounds.
            state: after the last one.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        # One after the other: both states use the memory of one model.
        before, after = (self.drawn(algorithm, each) for each in (algorithm.init(Random.of(0)), state))
        count = len(self.captions)
        figure = Figure(figsize=(1.7 * count, 5.6), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        for row, (title, pictures) in enumerate(
            {"before": before, "after": after, "devices' style": self.pictures}.items()
        ):
            for column, picture in enumerate(pictures):
                ax = figure.add_subplot(3, count, row * count + column + 1)
                ax.imshow(picture.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
                ax.set(xticks=[], yticks=[])
                if column == 0:
                    ax.set_ylabel(title, fontsize=10)
                if row == 0:
                    # Else a dollar sign begins a formula.
                    ax.set_title(fill(self.captions[column], 28).replace("$", r"\$"), fontsize=7)
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None})
        return file.getvalue()
