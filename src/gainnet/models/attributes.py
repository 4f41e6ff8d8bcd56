"""The attribute classifier: what a picture of a scene shows, and how much of a caption that is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from gainnet.core.errors import ModelError
from gainnet.models.scenes import ATTRIBUTES, LAYOUTS, UNNAMED, caption_labels, parse

PRETRAINED = Path(__file__).parent / "pretrained" / "attributes"
SIDE = 128
WIDTHS = (32, 48, 64, 28)
HIDDEN = 104
CONFIG, WEIGHTS = "config.json", "model.safetensors"

N = TypeVar("N", bound=nn.Module)


class ConvBlock(nn.Module):
    """Two 3x3 convolutions added to their input."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(num_channels, num_channels, 3, padding=1)
        self.second = nn.Conv2d(num_channels, num_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.second(functional.silu(self.first(functional.silu(x)))))


class AttributeClassifier(nn.Module):
    """A small convolutional network that names the attributes of a scene.

    pixels [b, 3, 128, 128] -> unshuffle by 4 -> 32 -> 16 -> 8 wide -> flatten -> 8 groups of logits (`ATTRIBUTES`)

    Args:
        widths: channels at 32, 16, 8 wide and of what is flattened.
        hidden: width of the layer before the logits.

    >>> AttributeClassifier(widths=(4, 4, 4, 4), hidden=8).predict(torch.zeros(2, 5, 3, 128, 128)).shape
    torch.Size([2, 5, 8])
    """

    kind: ClassVar = "attribute-classifier"

    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.widths, self.hidden = widths, hidden
        fine, middle, coarse, flat = widths
        self.body = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, fine, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(fine, middle, 3, stride=2, padding=1),
            ConvBlock(middle),
            nn.SiLU(),
            nn.Conv2d(middle, coarse, 3, stride=2, padding=1),
            ConvBlock(coarse),
            nn.SiLU(),
            nn.Conv2d(coarse, flat, 1),
            nn.Flatten(),
            nn.Linear(flat * 64, hidden),
            nn.SiLU(),
            nn.Linear(hidden, sum(ATTRIBUTES.values())),
        )

    @classmethod
    def from_pretrained(cls, folder: Path | None = None) -> AttributeClassifier:
        """The classifier saved in a folder, by default the one shipped with the package, ready to predict.

        Raises:
            ModelError: the folder is missing or damaged, or its classes are not those of this package.
        """
        return restored(cls, cls.kind, folder or PRETRAINED)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits per attribute, each [batch, num_classes].

        Args:
            images: [batch, 3, 128, 128], pixels in [0, 1].
        """
        return by_attribute(self.body(images * 2 - 1))

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """[*batch, 8], the most likely class per attribute; `UNNAMED` for a second thing where there seems to be none.

        Args:
            images: [*batch, 3, 128, 128], pixels in [0, 1].
        """
        batch = images.shape[:-3]
        logits = self(images.reshape(-1, *images.shape[-3:]).float())
        classes = torch.stack([logit.argmax(-1) for logit in logits], dim=-1)
        classes[classes[:, 1] == LAYOUTS.index("single"), 5:] = UNNAMED
        return classes.view(*batch, len(ATTRIBUTES))


def by_attribute(logits: Tensor) -> list[Tensor]:
    """Logits [batch, num_classes in all] as those of every attribute."""
    return list(logits.split(list(ATTRIBUTES.values()), dim=-1))


def restored(build: Callable[[tuple[int, int, int, int], int], N], kind: str, folder: Path) -> N:
    """A network that names attributes, as it was saved: in single precision, without gradients.

    Args:
        build: makes it of its widths and its hidden width.
        kind: what its configuration has to call it.
        folder: holds `config.json` and `model.safetensors`.

    Raises:
        ModelError: the folder is missing or damaged, of another kind, or its classes are not those of this package.
    """
    try:
        config = json.loads((folder / CONFIG).read_text())
        weights = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{kind}: {folder} cannot be read ({error}); give a folder of `gainnet train`") from error
    if config.get("kind") != kind:
        raise ModelError(f"{kind}: {folder} holds a {config.get('kind')!r}; give another folder")
    if config.get("attributes") != ATTRIBUTES:
        raise ModelError(f"{kind}: {folder} was trained on other attributes; train it again")
    network = build(tuple(config["widths"]), config["hidden"])
    network.load_state_dict({key: value.float() for key, value in weights.items()})
    return network.eval().requires_grad_(False)


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
