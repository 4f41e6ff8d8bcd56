"""The network that features come from: its parts, and its weights where their package is there."""

import pytest
import torch

from gainnet.models.efficientnet import PACKAGE, EfficientNet, features_of, load_features
from gainnet.models.scenes import draw_scenes, render, stream


def test_parameters_are_those_of_the_paper() -> None:
    # 4.7 million with the classifier's 1,281,000 (EfficientNet-Lite0).
    assert sum(p.numel() for p in EfficientNet().parameters()) == 3_371_008


def test_bytes_and_fractions_are_the_same_pictures() -> None:
    torch.manual_seed(0)
    network = EfficientNet().eval()
    pictures = torch.randint(256, (3, 3, 32, 40), dtype=torch.uint8)
    pairs = zip(features_of(pictures, network, 2), features_of(pictures / 255, network), strict=True)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in pairs)


def test_shipped_weights_know_a_darker_picture() -> None:
    pytest.importorskip(PACKAGE)
    pictures = render(draw_scenes(6, stream(0, "features", 0)))
    pairs = zip(*(features_of(x, load_features()) for x in (0.98 * pictures, pictures)), strict=True)
    assert all(torch.cdist(one, other).argmin(1).tolist() == list(range(6)) for one, other in pairs)
