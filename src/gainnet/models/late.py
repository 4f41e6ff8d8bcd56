"""A model whose pipeline is opened when a part first runs it: a device that only decodes never imports diffusers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, final

from torch import Tensor

from gainnet.core.errors import ModelError
from gainnet.core.outside import reading
from gainnet.core.types import Spec
from gainnet.models.apart import latent_sides
from gainnet.models.diffusion import Decoder, Denoiser, DiffusionModel, ImageEncoder, TextEncoder, prior
from gainnet.models.loading import find_folder, home_of, read_family, sampling_of, sides_of, teacher_of
from gainnet.models.partial import load_parts
from gainnet.models.runtime import Runtime, decoder_of, on_runtime
from gainnet.models.samplers import Sampler
from gainnet.models.scene_layers import load_decoder

_OWN_VAE: Final = "SceneAutoencoder"
"""Class of the autoencoders whose decoder is read without diffusers."""
_PLAIN_SAMPLER: Final = "DDIMScheduler"
"""Sampler that takes the steps that are asked for, begins with noise of deviation 1, and remembers nothing."""


def load_late(
    name: str,
    sha256: str,
    num_steps: int | None = None,
    guidance_scale: float | None = None,
    runtime: Runtime = "torch",
    height: int | None = None,
    width: int | None = None,
) -> DiffusionModel:
    """A model as `load_parts` opens it, on a runtime; nothing but configurations is read before a part runs.

    The decoder is read alone where that is possible. Everything else opens the whole pipeline, whose libraries take
    seconds of processor time to import; so do models of another family than `sd` or with another sampler than DDIM.

    Args:
        name: `scenes`, a folder in diffusers' format, or a hub id in the local cache.
        sha256: of the whole model, as a node that has all of it says.
        num_steps: sampler steps, 1 to 1000; the model's own default when `None`.
        guidance_scale: classifier-free guidance, 1 to 100; the model's own default when `None`.
        runtime: that computes its networks.
        height: of the picture in pixels; the model's own when `None`.
        width: likewise.

    Raises:
        ModelError: the folder is missing or damaged.
        ConfigError: a number is out of range.

    >>> load_late("scenes", "", num_steps=4).latent
    Spec(shape=(4, 16, 16))
    """
    folder = find_folder(name)
    steps, guidance = sampling_of(folder, num_steps, guidance_scale)
    home, family = home_of(folder), read_family(folder, name)
    scheduler = _json(home / "scheduler" / "scheduler_config.json")
    if family.name != "sd" or scheduler.get("_class_name") != _PLAIN_SAMPLER:
        return on_runtime(load_parts(name, sha256, num_steps, guidance_scale, height, width), runtime)
    unet, vae = (_json(home / part / "config.json") for part in ("unet", "vae"))

    @cache
    def opened() -> DiffusionModel:
        return on_runtime(load_parts(name, sha256, num_steps, guidance_scale, height, width), runtime)

    def open_decoder() -> Callable[[Tensor], Tensor] | None:
        if runtime == "onnx":
            return decoder_of(folder, sha256)
        return load_decoder(home / "vae") if vae.get("_class_name") == _OWN_VAE else None

    pipeline = _Pipeline(home, lambda: opened().pipeline, open_decoder)
    with reading("model", ModelError):
        scale, channels = 2 ** (len(vae["block_out_channels"]) - 1), int(unet["in_channels"])
        tall, broad = latent_sides(family, pipeline.unet.config, scale, sides_of(folder, height, width))
    latent, image = Spec((channels, tall, broad)), Spec((3, tall * scale, broad * scale))
    sampler: Any = _Sampler(lambda: opened().denoiser.sampler)
    denoiser = Denoiser(pipeline, family, sampler, latent, guidance, 0, steps)
    # The first noise level of DDIM is 1.
    return DiffusionModel(
        name, sha256, TextEncoder(pipeline, family, denoiser.num_branches, image), prior(latent, 1.0), denoiser,
        Decoder(pipeline, family, latent, image), ImageEncoder(pipeline, family, latent, image), pipeline, runtime,
        teacher_of(folder),
    )  # fmt: skip


@final
@dataclass(frozen=True)
class _Sampler:
    """Stands for a sampler of DDIM: it has no memory, and everything else is asked of the sampler itself."""

    open_sampler: Callable[[], Sampler]
    begin: int = 0

    def num_latents(self, step: int) -> int:
        """Latents of a state before a step."""
        return 1

    def begun_at(self, step: int) -> _Sampler:
        """As of `Sampler`."""
        return replace(self, begin=step)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.open_sampler().begun_at(self.begin), name)


@final
class _Pipeline:
    """Stands for a pipeline: shapes from its configurations, and everything else from the pipeline itself.

    Args:
        folder: of the configurations.
        open_pipeline: opens it, when it is needed.
        open_decoder: opens the decoder alone; returns `None` where that cannot be.
    """

    def __init__(
        self, folder: Path, open_pipeline: Callable[[], Any], open_decoder: Callable[[], Callable[..., Tensor] | None]
    ) -> None:
        self._folder, self._open_pipeline, self._open_decoder = folder, open_pipeline, open_decoder
        self.unet = _Network(self, "unet")
        self.text_encoder = _Network(self, "text_encoder")
        self.vae = _Network(self, "vae")
        self.vae.decode = self._decode
        # A tokenizer without a length of its own reads as far as its encoder has positions.
        length = _json(folder / "tokenizer" / "tokenizer_config.json").get("model_max_length", math.inf)
        positions = getattr(self.text_encoder.config, "max_position_embeddings", math.inf)
        self.tokenizer = SimpleNamespace(model_max_length=int(min(length, positions)))

    @cached_property
    def opened(self) -> Any:
        """The pipeline."""
        return self._open_pipeline()

    @cached_property
    def _decoder(self) -> Callable[..., Tensor] | None:
        return self._open_decoder()

    def _decode(self, latents: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        """As a pipeline's `vae.decode` with `return_dict=False`; latents [n, c, h, w]."""
        if self._decoder is None:
            decoded: tuple[Tensor] = self.opened.vae.decode(latents, return_dict=False)
            return decoded
        return (self._decoder(latents),)

    def __getattr__(self, name: str) -> Any:
        # Asked for only where no attribute of this class is found.
        return getattr(self.opened, name)


@final
class _Network:
    """Stands for a network of a pipeline: its configuration from a file, and everything else from itself."""

    decode: Any

    def __init__(self, pipeline: _Pipeline, part: str) -> None:
        self._pipeline, self._part = pipeline, part
        self.config = SimpleNamespace(**_json(pipeline._folder / part / "config.json"))

    @property
    def opened(self) -> Any:
        """The network."""
        return getattr(self._pipeline.opened, self._part)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.opened, name)

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return self.opened(*inputs, **options)


def _json(path: Path) -> dict[str, Any]:
    try:
        with reading("model", ModelError):
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
    except OSError as error:
        raise ModelError(f"model: {path} cannot be read ({error.strerror}); give a model of diffusers") from None
