"""Decoders of a model that were fine-tuned, kept beside it by its digest under names of their own."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import torch
from torch import nn

from gainnet.core.errors import ConfigError, ModelError, check_name
from gainnet.core.files import write_whole
from gainnet.core.weights import CONFIG, WeightsFormat, user_folder
from gainnet.models.diffusion import Decoder, DiffusionModel

FORMAT: Final = WeightsFormat(
    "decoder", "decoder", "weights.safetensors", "train one with gainnet train through-channel --out FOLDER"
)


def decoder_place(model_sha256: str, name: str) -> Path:
    """Where a decoder of that name is installed for the model of a digest.

    Raises:
        ConfigError: the name is not made of letters, digits, hyphens and underscores.
    """
    # A name is never a path: what comes in a request must not leave the folder.
    if not re.fullmatch(r"[\w-]{1,64}", name, re.ASCII):
        raise ConfigError(f"decoder: {name!r} is no name; use up to 64 letters, digits, hyphens and underscores")
    return user_folder() / "decoders" / model_sha256 / name


def check_installed(name: str) -> None:
    """Refuses a name that no installed decoder has, whatever its model, before a model is loaded.

    Raises:
        ConfigError: no decoder of that name is installed.
    """
    decoder_place("", name)
    known = sorted({path.parent.name for path in (user_folder() / "decoders").glob(f"*/*/{CONFIG}")})
    if not known:
        raise ConfigError(f"decoder: none is installed; {FORMAT.mend} --name {name}")
    check_name("decoder", name, known)


def save_decoder(folder: Path, network: nn.Module, model_sha256: str, how: Mapping[str, Any]) -> str:
    """Writes a fine-tuned decoder in half precision; returns the SHA-256 of its weights.

    Args:
        folder: made if it is not there.
        network: the decoder's.
        model_sha256: digest of the model that it belongs to.
        how: what made it, for `config.json`.
    """
    from safetensors.torch import save

    tensors = {name: x.detach().half().contiguous() for name, x in network.state_dict().items()}
    sha256 = hashlib.sha256(save(tensors)).hexdigest()
    FORMAT.save(folder, tensors, {"model_sha256": model_sha256, "sha256": sha256, **how})
    return sha256


def install_decoder(folder: Path, name: str) -> Path:
    """Copies a decoder to where it is found by name for its model; returns that place.

    Args:
        folder: of the decoder.
        name: under which it is found.

    Raises:
        ModelError: the folder holds no decoder.
        ConfigError: other weights have that name.
    """
    config = decoder_config(folder)
    place = decoder_place(config["model_sha256"], name)
    # Published numbers name weights by digest, so a name never changes what it stands for.
    if (place / CONFIG).is_file() and decoder_config(place)["sha256"] != config["sha256"]:
        raise ConfigError(f"name: {name!r} stands for other weights in {place}; give another name")
    for file in (FORMAT.file, CONFIG):
        write_whole(place / file, (folder / file).read_bytes())
    return place


def decoder_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a decoder; raises `ModelError` when it is missing or describes none."""
    return FORMAT.config(folder, {"model_sha256": str, "sha256": str})


def with_decoder(model: DiffusionModel, decoder: str | Path) -> DiffusionModel:
    """The model with a fine-tuned decoder; everything else of it, its digest too, stays.

    Args:
        model: in torch.
        decoder: name of an installed one, or its folder as a path.

    Raises:
        ModelError: it is missing, damaged or belongs to another model.
        ConfigError: its name is none, or another runtime computes the model.
    """
    if model.runtime != "torch":
        raise ConfigError(f"decoder: a fine-tuned one runs on torch, and the model on {model.runtime}; choose torch")
    folder = decoder if isinstance(decoder, Path) else decoder_place(model.latents_sha256, decoder)
    config = decoder_config(folder)
    FORMAT.check_model(folder, config["model_sha256"], model.latents_sha256)
    # A copy, so that the model keeps a decoder for channel-free pictures.
    vae = copy.deepcopy(model.pipeline.vae)
    tensors = {name: x.to(torch.float32) for name, x in FORMAT.tensors(folder, config["sha256"]).items()}
    try:
        vae.decoder.load_state_dict(tensors)
    except RuntimeError:
        raise ModelError(
            f"decoder: the weights in {folder} have other shapes than the model's; {FORMAT.mend}"
        ) from None
    family, latent, image = model.family, model.decoder.latent, model.decoder.image
    return replace(model, decoder=Decoder(SimpleNamespace(vae=vae), family, latent, image))
