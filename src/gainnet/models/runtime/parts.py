"""The networks of a diffusion model as graphs: UNet, text encoder, and both halves of the autoencoder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, ModelError
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import find_folder
from gainnet.models.runtime.export import Calling, Traced, write_graph
from gainnet.models.runtime.manifest import Exported

_WEIGHTS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}


def export_model(model: DiffusionModel, folder: Path) -> Exported:
    """Writes the networks of a model as ONNX graphs, with its weights where they are not there yet.

    Args:
        model: computed by torch, opened by the name of a folder of whole safetensors files.
        folder: for graphs, weights and `onnx.json`, laid out as the model's own folder.

    Raises:
        ConfigError: the model is not computed by torch on the processor.
        ModelError: its weights are in several files, or a network has no ONNX form.
    """
    if model.runtime != "torch" or model.pipeline.device.type != "cpu":
        raise ConfigError("runtime: graphs are written from a model that torch computes on the processor")
    source = find_folder(model.name)
    for part, stem in _WEIGHTS.items():
        origin, place = (where / part / f"{stem}.safetensors" for where in (source, folder))
        if not origin.is_file():
            raise ModelError(f"export: {origin.parent} has no {origin.name}; save the model with one file per part")
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(origin, place)
    parts = {
        name: write_graph(traced, folder, graph, f"{graph.split('/')[0]}/{_WEIGHTS[graph.split('/')[0]]}.safetensors")
        for name, graph, traced in _networks(model)
    }
    exported = Exported(folder, model.sha256, parts)
    exported.write()
    return exported


def _networks(model: DiffusionModel) -> Iterator[tuple[str, str, Traced]]:
    """Name, file and network of every part."""
    pipeline: Any = model.pipeline
    latent, image = torch.zeros(model.latent.shape), torch.zeros(model.image.shape)
    num_tokens = pipeline.tokenizer.model_max_length
    condition = torch.zeros(num_tokens, pipeline.text_encoder.config.hidden_size)
    inputs: dict[str, Tensor] = {"sample": latent, "timestep": torch.tensor(1.0), "condition": condition}
    yield "unet", "unet/model.onnx", Traced(Calling(pipeline.unet, _predict), inputs, ("prediction",), _inside)
    tokens = {"tokens": torch.zeros(num_tokens, dtype=torch.long)}
    yield (
        "text_encoder",
        "text_encoder/model.onnx",
        Traced(Calling(pipeline.text_encoder, lambda network, ids: network(ids)[0]), tokens, ("condition",), _inside),
    )
    yield (
        "decoder",
        "vae/decoder.onnx",
        Traced(
            Calling(pipeline.vae, lambda vae, z: vae.decode(z, return_dict=False)[0]),
            {"latent": latent}, ("pixels",), _inside,
        ),
    )  # fmt: skip
    yield (
        "image_encoder",
        "vae/encoder.onnx",
        Traced(Calling(pipeline.vae, _encode), {"pixels": image}, ("latent",), _inside),
    )


def _inside(name: str) -> str:
    """The name of a parameter in its own network."""
    return name.removeprefix("network.")


def _predict(unet: Any, sample: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
    prediction: Tensor = unet(sample, timestep, encoder_hidden_states=condition, return_dict=False)[0]
    return prediction


def _encode(vae: Any, pixels: Tensor) -> Tensor:
    coded = vae.encode(pixels)
    latents: Tensor = coded.latents if hasattr(coded, "latents") else coded.latent_dist.mode()
    return latents
