"""Classifiers of scene attributes: the judge of pictures, and the checker by which a node chooses among its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn

from gainnet.core.errors import ModelError
from gainnet.core.weights import WeightsFormat
from gainnet.models.residual import ResidualBlock
from gainnet.models.scenes import ATTRIBUTES, LAYOUTS, UNNAMED, caption_labels, parse

WEIGHTS = "model.safetensors"
SIDE = 128

Widths = tuple[int, int, int, int]
"""Channels at 32, 16, 8 wide and of what is flattened."""


@final
@dataclass(frozen=True)
class Design:
    """Layers of a classifier, and where its shipped weights lie.

    Args:
        kind: name in `config.json`.
        widths: channels at 32, 16, 8 wide and of what is flattened.
        hidden: width of the layer before the logits.
        layers: the layers of these widths, from pixels in [-1, 1] to logits.
        folder: of the shipped weights.
    """

    kind: str
    widths: Widths
    hidden: int
    layers: Callable[[Widths, int], nn.Sequential]
    folder: Path


def _residual_layers(widths: Widths, hidden: int) -> nn.Sequential:
    """pixels -> unshuffle by 4 -> 32 -> 16 -> 8 wide, residual blocks -> flatten -> logits."""
    fine, middle, coarse, flat = widths
    return nn.Sequential(
        nn.PixelUnshuffle(4),
        nn.Conv2d(48, fine, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(fine, middle, 3, stride=2, padding=1),
        ResidualBlock(middle),
        nn.SiLU(),
        nn.Conv2d(middle, coarse, 3, stride=2, padding=1),
        ResidualBlock(coarse),
        nn.SiLU(),
        nn.Conv2d(coarse, flat, 1),
        *_head(flat, hidden, nn.SiLU()),
    )


def _pooling_layers(widths: Widths, hidden: int) -> nn.Sequential:
    """pixels -> mean over 2x2 -> 5x5 convolution -> 16 -> 8 wide, largest of 2x2 -> flatten -> logits."""
    fine, middle, coarse, flat = widths
    return nn.Sequential(
        nn.AvgPool2d(2),
        nn.Conv2d(3, fine, 5, stride=2, padding=2),
        nn.GELU(),
        nn.MaxPool2d(2),
        nn.Conv2d(fine, middle, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(middle, middle, 3, padding=1),
        nn.GELU(),
        nn.MaxPool2d(2),
        nn.Conv2d(middle, coarse, 3, padding=1),
        nn.GELU(),
        nn.Conv2d(coarse, flat, 1),
        *_head(flat, hidden, nn.GELU()),
    )


def _head(flat: int, hidden: int, activation: nn.Module) -> tuple[nn.Module, ...]:
    return nn.Flatten(), nn.Linear(flat * 64, hidden), activation, nn.Linear(hidden, sum(ATTRIBUTES.values()))


PRETRAINED = Path(__file__).parent / "pretrained" / "attributes"
"""Weights of the judge."""
JUDGE = Design("attribute-classifier", (32, 48, 64, 28), 104, _residual_layers, PRETRAINED)
CHECKER = Design("attribute-checker", (40, 64, 96, 20), 80, _pooling_layers, PRETRAINED.with_name("checker"))
"""Whoever chooses among pictures must not choose by what judges the choice, so protocols choose by this network and
studies judge by the other; they differ in layers, training data and random seed."""


class AttributeClassifier(nn.Module):
    """A small convolutional network that names the attributes of a scene.

    pixels [b, 3, 128, 128] -> layers of the design -> 8 groups of logits (`ATTRIBUTES`)

    Args:
        design: `JUDGE`, `CHECKER`, or one of them with other widths.

    >>> AttributeClassifier(replace(JUDGE, widths=(4, 4, 4, 4), hidden=8)).predict(torch.zeros(2, 5, 3, 128, 128)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, design: Design = JUDGE) -> None:
        super().__init__()
        self.design = design
        self.body = design.layers(design.widths, design.hidden)

    @classmethod
    def from_pretrained(cls, design: Design = JUDGE, folder: Path | None = None) -> AttributeClassifier:
        """The classifier saved in a folder, in single precision and without gradients.

        Args:
            design: its kind; widths are those of the folder.
            folder: by default that of the shipped weights.

        Raises:
            ModelError: the folder is missing or damaged, of another kind, or its classes are not those of this package.
        """
        place = folder or design.folder
        form = WeightsFormat(design.kind, "", WEIGHTS, "give a folder of `gainnet train`")
        config = form.config(place, {"kind": str, "attributes": dict, "widths": list, "hidden": int})
        if config["kind"] != design.kind:
            raise ModelError(f"{design.kind}: {place} holds a {config['kind']!r}; give another folder")
        if config["attributes"] != ATTRIBUTES:
            raise ModelError(f"{design.kind}: {place} was trained on other attributes; train it again")
        classifier = cls(replace(design, widths=tuple(config["widths"]), hidden=config["hidden"]))
        classifier.load_state_dict({name: x.float() for name, x in form.tensors(place).items()})
        return classifier.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits per attribute, each [batch, num_classes].

        Args:
            images: [batch, 3, 128, 128], pixels in [0, 1].
        """
        return list(self.body(images * 2 - 1).split(list(ATTRIBUTES.values()), dim=-1))

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """[*batch, 8], the most likely class per attribute; `UNNAMED` for a second thing where there seems to be none.

        Args:
            images: [*batch, 3, 128, 128], pixels in [0, 1].
        """
        batch = images.shape[:-3]
        logits = self(images.reshape(-1, *images.shape[-3:]).float())
        classes = torch.stack([logit.argmax(-1) for logit in logits], dim=-1)
        # The network answers for a second thing in any case; the layout says whether there is one.
        classes[classes[:, 1] == LAYOUTS.index("single"), 5:] = UNNAMED
        return classes.view(*batch, len(ATTRIBUTES))

    @torch.no_grad()
    def fit(self, images: Tensor, named: Tensor) -> Tensor:
        """[n], mean log-probability of the classes that are named; 0 where nothing is.

        Args:
            images: [n, 3, 128, 128], pixels in [0, 1].
            named: [n, 8], classes, `UNNAMED` where nothing is.
        """
        logits = [group.log_softmax(-1) for group in self(images)]
        # `UNNAMED` is no index; any class does, as the mask takes it out again.
        classes, is_named = named.clamp_min(0), named != UNNAMED
        each = torch.stack([g.gather(1, classes[:, i : i + 1])[:, 0] for i, g in enumerate(logits)], dim=1)
        return (each * is_named).sum(1) / is_named.sum(1).clamp_min(1)


def prompt_fidelity(classifier: AttributeClassifier, images: Tensor, prompts: Sequence[str]) -> list[float | None]:
    """Share of the attributes named in each prompt that its picture has; None for a prompt out of the grammar.

    Args:
        classifier: the judge.
        images: [n, 3, 128, 128], pixels in [0, 1].
        prompts: n captions.
    """
    parsed = [parse(prompt) for prompt in prompts]
    named = caption_labels(parsed)
    right = (classifier.predict(images).cpu() == named) & (named != UNNAMED)
    shares = right.sum(1) / (named != UNNAMED).sum(1).clamp(min=1)
    return [None if scene is None else float(share) for scene, share in zip(parsed, shares, strict=True)]
