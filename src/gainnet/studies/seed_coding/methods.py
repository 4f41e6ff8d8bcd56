"""The methods of seed-coding: seeds and pictures over the air, judged against the same generation without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import torch
from torch import Tensor

from gainnet.codecs import AVIF, JPEG, LinearCode, QuantizedSeed, RawAnalog, WebP
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.content import Content
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Spec, Symbols
from gainnet.models.denoised_seed import denoised_seed
from gainnet.models.diffusion import DiffusionModel
from gainnet.studies.own import Guarded, OwnCodec
from gainnet.studies.pictures import Pictures
from gainnet.studies.seed_coding.judging import fidelity, latent_nmse, mean_ssim, quality
from gainnet.studies.seed_coding.material import Material
from gainnet.studies.seed_coding.question import METHODS, OPTA, SCENE, SD_SHAPED, UNSEEN
from gainnet.studies.seed_coding.transports import (
    Analog,
    Digital,
    GaussianOptimum,
    Prompts,
    Received,
    Transport,
    own_transport,
)
from gainnet.studies.seed_coding.unseen import Unseen
from gainnet.studies.seed_coding.wide import wide_methods
from gainnet.studies.study import Case, Method, Row

NO_DRAWS = 0
"""Random seed of parts that draw nothing."""

AIR: Final = "air"
"""Streams of the air: the same fading and noise for all methods, seeds and pictures alike."""


@torch.no_grad()
def send_seeds(material: Material, transport: Transport, case: Case, random: Random) -> Row:
    """latents --transport--> latents --decoder--> pictures"""
    pictures = material.pictures_of(case.random_seed)
    received = transport(case, pictures.latents, pictures.prompts, pictures.random.child(AIR))
    images = material.model.decoder({"latent": received.values}, pictures.random)["image"]
    nmse = latent_nmse(received.values, pictures.latents, material.basis)
    return {**_row(case, material, images, pictures, received), "latent_nmse": nmse}


@torch.no_grad()
def send_pictures(material: Material, transport: Transport, case: Case, random: Random) -> Row:
    """pictures --transport--> pictures"""
    pictures = material.pictures_of(case.random_seed)
    received = transport(case, pictures.images, pictures.prompts, pictures.random.child(AIR))
    return _row(case, material, received.values, pictures, received)


def by_content(own: Mapping[str, Method], case: Case, random: Random) -> Row:
    """A row of scenes, of the Stable-Diffusion-shaped latent, or of unseen pictures, as the case says."""
    return own[case.text("content")](case, random)


def methods(material: Material) -> Mapping[str, Method]:
    """All methods by name."""
    of_content = {
        SCENE: scene_methods(material), SD_SHAPED: wide_methods(material), UNSEEN: Unseen(material).methods(),
    }  # fmt: skip
    own = {name: {c: found[name] for c, found in of_content.items() if name in found} for name in METHODS}
    users = {name: {SCENE: _own(material, OwnCodec.of_text(name))} for name in material.config.own}
    return {
        **{name: partial(by_content, found) for name, found in own.items()},
        **{name: Guarded(name, partial(by_content, found)) for name, found in users.items()},
    }


def _own(material: Material, codec: OwnCodec) -> Method:
    """A codec of the user's on scenes; no picture where it does not fit the budget."""
    is_seed, model = codec.kind == "seed", material.model
    content = Content(model.latent if is_seed else model.image, codec.kind, material.config.model, model.sha256)
    send = partial(send_seeds if is_seed else send_pictures, material, own_transport(codec, content))

    def sent(case: Case, random: Random) -> Row:
        try:
            return send(case, random)
        except ConfigError:
            return {"mse": None, "psnr_db": None, "num_images": material.config.num_images}

    return sent


def scene_methods(material: Material) -> Mapping[str, Method]:
    """Methods of pictures of 128 x 128 pixels."""
    basis = material.basis
    symbols: dict[str, Callable[[int, Prompts], AnyCodec]] = {
        "raw": lambda uses, prompts: RawAnalog(uses, scale=basis.root_mean_square),
        "linear": lambda uses, prompts: LinearCode(uses, basis),
        "seed": lambda uses, prompts: material.seed_code(uses, None),
        "seed_prompt": material.seed_code,
    }
    bits: dict[str, Callable[[float, Prompts], AnyCodec]] = {
        "digital_seed": lambda bits, prompts: material.transform_code(bits, None),
        "digital_seed_prompt": material.transform_code,
        "pca_seed": lambda bits, prompts: QuantizedSeed(max_bits=bits, basis=basis),
    }
    pictures: dict[str, Callable[[float, Prompts], AnyCodec]] = {
        "webp": lambda bits, prompts: WebP(max_bits=bits),
        "avif": lambda bits, prompts: AVIF(max_bits=bits),
        "jpeg": lambda bits, prompts: JPEG(max_bits=bits),
    }
    seeds: dict[str, Transport] = {
        **{name: Analog(code) for name, code in symbols.items()},
        "seed_denoiser": Analog(symbols["seed"], receiver=partial(denoise, material.model)),
        **{name: Digital(code) for name, code in bits.items()},
        OPTA: GaussianOptimum(basis),
    }
    return {
        **{name: partial(send_seeds, material, transport) for name, transport in seeds.items()},
        **{name: partial(send_pictures, material, Digital(code)) for name, code in pictures.items()},
    }


def _row(case: Case, material: Material, images: Tensor, pictures: Pictures, received: Received) -> Row:
    """PSNR everywhere; SSIM and prompt fidelity, which take as long as decoding, on the coarse grid alone."""
    on_coarse_grid = case.values["snr_db"] in material.config.coarse_snrs_db
    return {
        **quality(images, pictures.images),
        "ssim": mean_ssim(images, pictures.images) if on_coarse_grid else None,
        "prompt_fidelity": fidelity(material.classifier, images, pictures.prompts) if on_coarse_grid else None,
        "num_bits": received.num_bits,
        "num_channel_uses_sent": round(received.num_channel_uses, 3),
        "delivered": received.delivered,
        "num_images": len(images),
    }


def denoise(model: DiffusionModel, code: AnyCodec, sent: Symbols, spec: Spec, prompts: Prompts) -> Tensor:
    """[num_items, *spec.shape], what a code decodes, after one denoising step with the caption.

    Every item is denoised at the level of the error that its own gain and noise leave.

    Args:
        model: whose denoiser and text encoder the device has.
        code: a code that knows the error variance of what it decodes.
        sent: symbols [num_items, L] as received.
        spec: shape of a latent.
        prompts: one per item.

    Raises:
        ConfigError: the code does not know its error.
    """
    if not hasattr(code, "error_variance"):
        raise ConfigError(f"seed_denoiser: {type(code).__name__} does not say what error it leaves")
    latents, variances = code.decode(sent, spec), code.error_variance(sent)
    streams = Random.of([NO_DRAWS] * len(prompts))
    condition = model.text_encoder({"prompt": text_to_tensor(list(prompts))}, streams)["condition"]
    cleaned = torch.empty_like(latents)
    # A call of the denoiser has one noise level, and items of equal gain share it.
    for variance in variances.unique().tolist():
        items = (variances == variance).nonzero().squeeze(-1)
        cleaned[items] = denoised_seed(model.denoiser, condition[items], latents[items], variance)
    return cleaned
