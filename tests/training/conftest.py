"""One tiny scenes model, trained once for all tests of training."""

from pathlib import Path

import pytest
import torch

from gainnet.training.scenes import PRESETS, train_scenes


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The out folder of a tiny training with random seed 1; tests must leave it as it is."""
    out = tmp_path_factory.mktemp("tiny-run") / "out"
    train_scenes(out, 1, PRESETS["tiny"], torch_device=torch.device("cpu"))
    return out
