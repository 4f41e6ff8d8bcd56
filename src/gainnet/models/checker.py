"""The checker: what a node itself sees in a picture before it sends it, apart from the judge of studies."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from gainnet.models.attributes import by_attribute, restored
from gainnet.models.scenes import ATTRIBUTES, UNNAMED

PRETRAINED = Path(__file__).parent / "pretrained" / "checker"
WIDTHS = (40, 64, 96, 20)
HIDDEN = 80


class AttributeChecker(nn.Module):
    """A network that names the attributes of a scene, built, trained and seeded apart from `AttributeClassifier`.

    pixels [b, 3, 128, 128] -> mean over 2x2 -> 5x5 convolution -> 16 -> 8 wide, largest of 2x2 -> flatten -> 8 groups
    of logits (`ATTRIBUTES`)

    Whoever chooses among pictures must not choose by what judges the choice; so protocols choose with this one, and
    pictures are judged by the classifier.

    Args:
        widths: channels at 32, 16, 8 wide and of what is flattened.
        hidden: width of the layer before the logits.

    >>> [logits.shape[-1] for logits in AttributeChecker((4, 4, 4, 4), 8)(torch.zeros(1, 3, 128, 128))]
    [11, 3, 11, 8, 2, 11, 8, 2]
    """

    kind: ClassVar = "attribute-checker"

    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.widths, self.hidden = widths, hidden
        fine, middle, coarse, flat = widths
        self.body = nn.Sequential(
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
            nn.Flatten(),
            nn.Linear(flat * 64, hidden),
            nn.GELU(),
            nn.Linear(hidden, sum(ATTRIBUTES.values())),
        )

    @classmethod
    def from_pretrained(cls, folder: Path | None = None) -> AttributeChecker:
        """The checker saved in a folder, by default the one shipped with the package.

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
    def fit(self, images: Tensor, named: Tensor) -> Tensor:
        """[n], mean log-probability of the classes that are named; 0 where nothing is.

        Args:
            images: [n, 3, 128, 128], pixels in [0, 1].
            named: [n, 8], classes, `UNNAMED` where nothing is.
        """
        logits = [group.log_softmax(-1) for group in self(images)]
        classes, is_named = named.clamp_min(0), named != UNNAMED
        each = torch.stack([g.gather(1, classes[:, i : i + 1])[:, 0] for i, g in enumerate(logits)], dim=1)
        return (each * is_named).sum(1) / is_named.sum(1).clamp_min(1)
