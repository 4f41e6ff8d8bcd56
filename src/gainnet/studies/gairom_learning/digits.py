"""Handwritten digits in domains, each with digits of its own; the only place that imports scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, MissingExtraError

NUM_TEST = 500
NUM_PIXELS, NUM_CLASSES = 64, 10


@final
@dataclass(frozen=True)
class Digits:
    """Images of one split, sorted by domain.

    Args:
        images: [num_images, 64], float32 in [0, 1].
        labels: [num_images], int64.
        first: [num_domains + 1], int64, where the images of each domain begin; the last is num_images.
    """

    images: Tensor
    labels: Tensor
    first: Tensor

    def of_domain(self, domain: int) -> tuple[Tensor, Tensor]:
        """Images and labels of one domain."""
        part = slice(int(self.first[domain]), int(self.first[domain + 1]))
        return self.images[part], self.labels[part]

    def every_second(self, start: int) -> Digits:
        """Every second image of each domain, from `start` 0 or 1 on: halves with the same domains and other images."""
        parts = [torch.arange(int(a) + start, int(b), 2) for a, b in zip(self.first, self.first[1:], strict=False)]
        chosen = torch.cat(parts)
        counts = torch.tensor([len(part) for part in parts]).cumsum(0)
        return Digits(self.images[chosen], self.labels[chosen], torch.cat([torch.zeros(1, dtype=torch.long), counts]))

    def label_shares(self) -> Tensor:
        """[num_domains, 10], shares of the labels in each domain, float64."""
        rows = [
            torch.bincount(self.of_domain(d)[1], minlength=NUM_CLASSES).double() for d in range(len(self.first) - 1)
        ]
        shares = torch.stack(rows)
        return shares / shares.sum(-1, keepdim=True)


def load_digits(num_domains: int) -> tuple[Digits, Digits]:
    """scikit-learn's 1,797 digits of 8x8 pixels for training and for test; digit k is of domain k mod num_domains.

    The split is that of the file, whose last writers are not among the first, so the test has hands never seen.

    Args:
        num_domains: 1 to 10.

    Raises:
        ConfigError: there are more domains than digits.
        MissingExtraError: scikit-learn is not installed.

    >>> train, test = load_digits(4)
    >>> sorted(set(train.of_domain(1)[1].tolist())), len(train.images), len(test.labels)
    ([1, 5, 9], 1297, 500)
    """
    if not 1 <= num_domains <= NUM_CLASSES:
        raise ConfigError(
            f"num_domains: {num_domains} is outside 1 to {NUM_CLASSES}; give a scenario with fewer domains"
        )
    try:
        from sklearn import datasets
    except ImportError:
        raise MissingExtraError("scikit-learn", "orchestration") from None
    pixels, labels = datasets.load_digits(return_X_y=True)
    images = torch.from_numpy(np.asarray(pixels, dtype=np.float32)) / 16.0
    named = torch.from_numpy(np.asarray(labels, dtype=np.int64))
    parts = (slice(None, -NUM_TEST), slice(-NUM_TEST, None))
    train, test = (_sorted(images[part], named[part], num_domains) for part in parts)
    return train, test


def _sorted(images: Tensor, labels: Tensor, num_domains: int) -> Digits:
    domain = labels % num_domains
    order = torch.argsort(domain, stable=True)
    counts = torch.bincount(domain, minlength=num_domains).cumsum(0)
    return Digits(images[order], labels[order], torch.cat([torch.zeros(1, dtype=torch.long), counts]))
