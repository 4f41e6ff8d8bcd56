"""A model that is opened late makes the same tensors and plans, and reads nothing that is not needed."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.late import load_late
from gainnet.models.loading import load_model
from gainnet.models.runtime import Runtime, on_runtime

RANDOM = Random.of([1, 2])


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["torch", pytest.param("onnx", marks=pytest.mark.slow)])
def test_its_parts_make_the_same(runtime: Runtime) -> None:
    whole = on_runtime(load_model("scenes", num_steps=2), runtime)
    late = load_late("scenes", whole.sha256, num_steps=2, runtime=runtime)
    tensors = {"prompt": text_to_tensor(("a red star", "a blue house"))}
    assert (late.latent, late.image, late.runtime) == (whole.latent, whole.image, runtime)
    for one, other in zip(whole.parts, late.parts, strict=True):
        for name in ("name", "reads", "writes", "num_passes"):
            assert getattr(one, name) == getattr(other, name)
        with torch.no_grad():
            made, found = one(tensors, RANDOM), other(tensors, RANDOM)
        assert all(torch.equal(made[name], found[name]) for name in one.writes)
        tensors |= made
    assert (whole.decoder.flops, whole.denoiser.flops) == (late.decoder.flops, late.denoiser.flops)


HEAVY = frozenset({"diffusers", "transformers", "accelerate", "sionna", "scipy"})


@cache
def imported_with(module: str) -> frozenset[str]:
    """Modules that the head of a module's source names, and those of ours that stand for a package."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or not module.startswith("gainnet"):
        return frozenset()
    # What is indented is imported later, or for type checkers alone.
    found = re.findall(r"^(?:from ([\w.]+) import|import ([\w.]+))", Path(spec.origin).read_text(), re.MULTILINE)
    return frozenset(name for pair in found for name in pair if name)


def test_no_module_of_a_device_that_decodes_names_a_pipeline() -> None:
    """From sources alone; the slow test below looks at what is really imported."""
    names = ("models.scene_layers", "models.late", "catalog.records", "service.node.order", "service.node.asking")
    todo = [f"gainnet.{name}" for name in names]
    seen = set(todo)
    for module in todo:
        todo.extend(new := imported_with(module) - seen)
        seen |= new
    assert len(seen) > 100
    assert {name.split(".")[0] for name in seen} & HEAVY == set()


@pytest.mark.slow
def test_a_device_that_decodes_imports_no_pipeline() -> None:
    """Halves of a transmission and the decoder take torch alone; `benchmarks/startup.py` measures the time."""
    code = (
        "import sys, gainnet; gainnet.transmit; from gainnet.models.scene_layers import load_decoder; load_decoder();"
        "print(*sorted({name.split('.')[0] for name in sys.modules}));"
        "import torch; from gainnet.catalog.records import GenerationConfig;"
        "from gainnet.core.randomness import Random; from gainnet.models.late import load_late;"
        "from gainnet.service.node.order import Asked, order_of; import gainnet.service.node.asking;"
        "from gainnet.models.loading import find_folder, weights_sha256;"
        "model = load_late('scenes', weights_sha256(find_folder('scenes')));"
        "order_of(Asked(GenerationConfig(('a red star',))), model);"
        "model.decoder({'latent': torch.zeros(1, 4, 16, 16)}, Random.of([0]));"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    # One process for both, since each would import torch again.
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    half, whole = (set(line.split()) for line in loaded.stdout.splitlines())
    assert half & (HEAVY | {"torchmetrics", "matplotlib", "pandas"}) == set()
    assert whole & HEAVY == set()
