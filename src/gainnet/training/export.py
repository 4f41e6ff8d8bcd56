"""Writing what was trained as folders that diffusers and the package load: half precision, whole or not at all."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from safetensors.torch import save_file
from torch import nn

from gainnet.core.files import write_folder, write_json, write_whole
from gainnet.core.weights import CONFIG
from gainnet.models.attributes import WEIGHTS, AttributeClassifier
from gainnet.models.autoencoder import SceneAutoencoder
from gainnet.models.scenes import ATTRIBUTES
from gainnet.training.denoiser import build_scheduler

if TYPE_CHECKING:
    from transformers import CLIPTextModel, PreTrainedTokenizerBase

M = TypeVar("M", bound=nn.Module)

GENERATION = {"num_inference_steps": 10, "guidance_scale": 3.0, "height": 128, "width": 128}


def weight_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every weight file of a folder, by its path inside it."""
    files = sorted(folder.rglob("*.safetensors"))
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _halved(model: M) -> M:
    # torch's own method: those of diffusers' models warn of what only matters when half precision computes
    return nn.Module.half(copy.deepcopy(model).cpu())


def assembled(
    autoencoder: SceneAutoencoder, text_encoder: CLIPTextModel, tokenizer: PreTrainedTokenizerBase, denoiser: nn.Module
) -> Any:
    """Diffusers' pipeline of networks; arguments as of `write_pipeline`."""
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=denoiser,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def write_pipeline(
    autoencoder: SceneAutoencoder,
    text_encoder: CLIPTextModel,
    tokenizer: PreTrainedTokenizerBase,
    denoiser: nn.Module,
    kind: str,
    generation: Mapping[str, Any],
    trained: Mapping[str, Any],
    folder: Path,
    files: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """A folder that `StableDiffusionPipeline.from_pretrained` loads.

    Beside the parts it holds `gainnet.json` (how to generate, SHA-256 of the weights) and `trained.json`.

    Args:
        autoencoder: its `vae`.
        text_encoder: its `text_encoder`.
        tokenizer: its `tokenizer`.
        denoiser: its `unet`.
        kind: name of the model, for `gainnet.json`.
        generation: steps, guidance, height and width in pixels that it asks for.
        trained: how it was trained, for `trained.json`.
        folder: where to write.
        files: further files by name: a text, bytes, or what JSON holds.
    """

    def fill(beside: Path) -> None:
        assembled(_halved(autoencoder), _halved(text_encoder), tokenizer, _halved(denoiser)).save_pretrained(beside)
        _name_home(beside / "model_index.json")
        for name, content in {**files, "trained.json": trained}.items():
            if isinstance(content, str | bytes):
                write_whole(beside / name, content.encode() if isinstance(content, str) else content)
            else:
                write_json(beside / name, content)
        config = {"kind": kind, "generation": generation, "sha256": weight_hashes(beside)}
        write_json(beside / "gainnet.json", config)

    return write_folder(folder, fill)


def _name_home(index: Path) -> None:
    """Name the package instead of the module, because diffusers only looks where `import gainnet` has been."""
    named = json.loads(index.read_text())
    write_json(index, named | {"vae": ["gainnet.models", SceneAutoencoder.__name__]})


def write_classifier(network: AttributeClassifier, folder: Path, how: Mapping[str, Any]) -> Path:
    """A folder that `AttributeClassifier.from_pretrained` loads, in half precision.

    Args:
        network: what is written.
        folder: its place.
        how: further entries of `config.json`, on its training.
    """

    def fill(beside: Path) -> None:
        weights = {name: value.detach().cpu().half().contiguous() for name, value in network.state_dict().items()}
        save_file(weights, beside / WEIGHTS)
        config = {
            "kind": network.design.kind,
            "widths": list(network.design.widths),
            "hidden": network.design.hidden,
            "attributes": ATTRIBUTES,
            **how,
            "sha256": weight_hashes(beside),
        }
        write_json(beside / CONFIG, config)

    return write_folder(folder, fill)
