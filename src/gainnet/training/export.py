"""Writing what was trained as folders that diffusers and the package load: half precision, whole or not at all."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from safetensors.torch import save_file
from torch import nn

from gainnet.models.attributes import CONFIG, WEIGHTS, AttributeClassifier
from gainnet.models.autoencoder import SceneAutoencoder
from gainnet.models.checker import AttributeChecker
from gainnet.models.scenes import ATTRIBUTES, build_tokenizer
from gainnet.training.denoiser import build_scheduler

if TYPE_CHECKING:
    from transformers import CLIPTextModel

M = TypeVar("M", bound=nn.Module)

GENERATION = {"num_inference_steps": 10, "guidance_scale": 3.0, "height": 128, "width": 128}


def write_folder(folder: Path, fill: Callable[[Path], None]) -> Path:
    """A folder that `fill` wrote beside its place before it took the place of the old one.

    Args:
        folder: its place.
        fill: writes into the empty folder it is given.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    fill(beside)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    beside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def weight_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every weight file of a folder, by its path inside it."""
    files = sorted(folder.rglob("*.safetensors"))
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _halved(model: M) -> M:
    # torch's own method: those of diffusers' models warn of what only matters when half precision computes
    return nn.Module.half(copy.deepcopy(model).cpu())


def write_json(values: Mapping[str, Any], path: Path) -> None:
    """Writes a JSON file whole: a kill leaves the old one or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(values, indent=2) + "\n")
    beside.replace(path)


def record_metrics(folder: Path, metrics: Mapping[str, float]) -> None:
    """Adds measured numbers to a model folder's `gainnet.json`, under `metrics`."""
    path = folder / "gainnet.json"
    rounded = {name: round(value, 4) for name, value in metrics.items()}
    write_json(json.loads(path.read_text()) | {"metrics": rounded}, path)


def write_pipeline(
    autoencoder: SceneAutoencoder,
    text_encoder: CLIPTextModel,
    denoiser: nn.Module,
    trained: Mapping[str, Any],
    folder: Path,
) -> Path:
    """A folder that `StableDiffusionPipeline.from_pretrained` loads.

    Beside the parts it holds `gainnet.json` (how to generate, SHA-256 of the weights) and `trained.json`.

    Args:
        autoencoder: its `vae`.
        text_encoder: its `text_encoder`.
        denoiser: its `unet`.
        trained: how it was trained, for `trained.json`.
        folder: where to write.
    """
    from diffusers import StableDiffusionPipeline

    def fill(beside: Path) -> None:
        pipeline: Any = StableDiffusionPipeline(
            vae=_halved(autoencoder),
            text_encoder=_halved(text_encoder),
            tokenizer=build_tokenizer(),
            unet=_halved(denoiser),
            scheduler=build_scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.save_pretrained(beside)
        _name_home(beside / "model_index.json")
        config = {"kind": "scenes", "generation": GENERATION, "sha256": weight_hashes(beside)}
        write_json(config, beside / "gainnet.json")
        write_json(trained, beside / "trained.json")

    return write_folder(folder, fill)


def _name_home(index: Path) -> None:
    """Name the package instead of the module, because diffusers only looks where `import gainnet` has been."""
    named = json.loads(index.read_text())
    named["vae"] = ["gainnet.models", SceneAutoencoder.__name__]
    index.write_text(json.dumps(named, indent=2) + "\n")


def write_classifier(network: AttributeClassifier | AttributeChecker, folder: Path, how: Mapping[str, Any]) -> Path:
    """A folder that `from_pretrained` of the network's class loads, in half precision.

    Args:
        network: what is written.
        folder: its place.
        how: further entries of `config.json`, on its training.
    """

    def fill(beside: Path) -> None:
        weights = {name: value.detach().cpu().half().contiguous() for name, value in network.state_dict().items()}
        save_file(weights, beside / WEIGHTS)
        config = {
            "kind": network.kind,
            "widths": list(network.widths),
            "hidden": network.hidden,
            "attributes": ATTRIBUTES,
            **how,
            "sha256": weight_hashes(beside),
        }
        write_json(config, beside / CONFIG)

    return write_folder(folder, fill)
