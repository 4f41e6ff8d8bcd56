"""A model of which this machine has some weights only: its other parts can be placed and priced, but not run."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gainnet.core.errors import ModelError
from gainnet.models.apart import take_apart
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import (
    find_folder,
    home_of,
    load_model,
    networks_of,
    open_pipeline,
    read_family,
    read_index,
    sampling_of,
    sides_of,
    teacher_of,
)


def load_parts(
    name: str,
    sha256: str,
    num_steps: int | None = None,
    guidance_scale: float | None = None,
    height: int | None = None,
    width: int | None = None,
) -> DiffusionModel:
    """A model as `load_model` opens it, where the weights of some networks may be missing.

    A network without weights keeps its configuration, from which shapes and costs are known; it takes no memory, and
    calling it raises `ModelError`.

    Args:
        name: `scenes`, a folder in diffusers' format, or a hub id in the local cache.
        sha256: of the whole model, as a node that has all of it says.
        num_steps: sampler steps, 1 to 1000; the model's own default when `None`.
        guidance_scale: classifier-free guidance, 1 to 100; the model's own default when `None`.
        height: of the picture in pixels; the model's own when `None`.
        width: likewise.

    Raises:
        ModelError: the folder is missing or damaged.
        ConfigError: a number is out of range.
    """
    folder = find_folder(name)
    family = read_family(folder, name)
    networks = networks_of(family, read_index(folder, name))
    absent = [part for part in networks if not any((home_of(folder) / part).glob("*.safetensors"))]
    if not absent:
        return load_model(name, num_steps, guidance_scale, height=height, width=width)
    steps, guidance = sampling_of(folder, num_steps, guidance_scale)
    pipeline = open_pipeline(folder, name, family, {part: _empty(folder, part) for part in absent})
    model = take_apart(name, sha256, pipeline, steps, guidance, sides_of(folder, height, width), family)
    return replace(model, teacher_sha256=teacher_of(folder))


def _empty(folder: Path, part: str) -> Any:
    """A network of its configuration alone, on torch's meta device."""
    import torch

    try:
        library, kind = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))[part]
        # The same libraries as the pipeline's own loader; nothing else is imported for what a folder says.
        if library not in ("diffusers", "transformers", "gainnet.models"):
            raise ModelError(f"model: {part} is of {library}; give a model of diffusers")
        made_of = getattr(importlib.import_module(library), kind)
        with torch.device("meta"):
            if library == "transformers":
                network = made_of(made_of.config_class.from_pretrained(folder / part))
            else:
                network = made_of.from_config(made_of.load_config(folder / part))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"model: {folder} is damaged ({error}); it needs the configuration of its {part}") from error
    refuse = _refusing(part)
    for method in ("forward", "encode", "decode"):
        if hasattr(network, method):
            setattr(network, method, refuse)
    return network.requires_grad_(False).eval()


def _refusing(part: str) -> Callable[..., Any]:
    def refused(*inputs: Any, **options: Any) -> Any:
        raise ModelError(f"model: this machine has no weights of the {part}; choose a protocol that runs it elsewhere")

    return refused
