"""Weights of the learned code as codecs find them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gainnet.codecs.content import Content
from gainnet.codecs.seed_codec.weights import NETWORKS, SeedWeights
from gainnet.codecs.selection import Automatic, bind, suitable
from gainnet.core.types import Spec


def test_weights_are_opened_once_while_their_files_stay(tmp_path: Path) -> None:
    """The default codec is chosen by its weights and then bound to them, in every plan of a request."""
    folder = tmp_path / "weights"
    shutil.copytree(NETWORKS.find("scenes"), folder)
    content = Content(Spec((4, 16, 16)), model=str(folder))
    first = SeedWeights.of_content(content)
    assert SeedWeights.of_content(content) is first
    os.utime(folder / "config.json", ns=(1, 1))
    assert SeedWeights.of_content(content) is not first


def test_choosing_and_binding_read_the_same_weights() -> None:
    content = Content(Spec((4, 16, 16)), kind="seed", model="scenes", mean_snr=4.0)
    bound = [bind(Automatic(), content), bind(suitable(content), content)]
    assert bound[0].weights is bound[1].weights is not None  # type: ignore[union-attr]
