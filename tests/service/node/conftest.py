"""Edges that tests of nodes share: a process takes a while to start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.service.node.local import Edges, edges
from gainnet.wire.keys import write_certificates, write_signing_keys


@pytest.fixture(scope="session")
def scenes() -> DiffusionModel:
    return load_model("scenes", num_steps=2)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    write_certificates(folder, devices=[f"edge_{k}" for k in range(2, 5)])
    return folder


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signer")
    write_signing_keys(folder)
    return folder


@pytest.fixture(scope="session")
def two(scenes: DiffusionModel, keys: Path, signer: Path) -> Iterator[Edges]:
    """The first edge and one that has joined it."""
    with edges(scenes, keys, ("edge_2",), signer=signer) as cell:
        yield cell


@pytest.fixture(scope="module")
def four(scenes: DiffusionModel, keys: Path) -> Iterator[Edges]:
    """The first edge and three that have joined it."""
    with edges(scenes, keys, ("edge_2", "edge_3", "edge_4")) as cell:
        yield cell
