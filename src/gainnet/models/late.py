"""A model whose pipeline is opened when a part first runs it: a device that only decodes never imports diffusers."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, final

from torch import Tensor

from gainnet.core.errors import ModelError
from gainnet.core.outside import reading
from gainnet.core.types import Spec
from gainnet.models.diffusion import Decoder, Denoiser, DiffusionModel, ImageEncoder, TextEncoder, prior
from gainnet.models.loading import find_folder, sampling_of
from gainnet.models.partial import load_parts
from gainnet.models.runtime import Runtime, decoder_of, on_runtime
from gainnet.models.scene_layers import load_decoder

_OWN_VAE: Final = "SceneAutoencoder"
"""Class of the autoencoders whose decoder is read without diffusers."""


def load_late(
    name: str,
    sha256: str,
    num_steps: int | None = None,
    guidance_scale: float | None = None,
    runtime: Runtime = "torch",
) -> DiffusionModel:
    """A model as `load_parts` opens it, on a runtime; nothing but configurations is read before a part runs.

    The decoder is read alone where that is possible. Everything else opens the whole pipeline, whose libraries take
    seconds of processor time to import.

    Args:
        name: `scenes`, a folder in diffusers' format, or a hub id in the local cache.
        sha256: of the whole model, as a node that has all of it says.
        num_steps: sampler steps, 1 to 1000; the model's own default when `None`.
        guidance_scale: classifier-free guidance, 1 to 100; the model's own default when `None`.
        runtime: that computes its networks.

    Raises:
        ModelError: the folder is missing or damaged.
        ConfigError: a number is out of range.

    >>> load_late("scenes", "", num_steps=4).latent
    Spec(shape=(4, 16, 16))
    """
    folder = find_folder(name)
    steps, guidance = sampling_of(folder, num_steps, guidance_scale)
    unet, vae = (_json(folder / part / "config.json") for part in ("unet", "vae"))

    def open_pipeline() -> Any:
        return on_runtime(load_parts(name, sha256, num_steps, guidance_scale), runtime).pipeline

    def open_decoder() -> Callable[[Tensor], Tensor] | None:
        if runtime == "onnx":
            return decoder_of(folder, sha256)
        return load_decoder(folder / "vae") if vae.get("_class_name") == _OWN_VAE else None

    pipeline = _Pipeline(folder, open_pipeline, open_decoder)
    with reading("model", ModelError):
        scale = 2 ** (len(vae["block_out_channels"]) - 1)
        size, channels = int(unet["sample_size"]), int(unet["in_channels"])
    latent, image = Spec((channels, size, size)), Spec((3, size * scale, size * scale))
    denoiser = Denoiser(pipeline, latent, guidance, 0, steps)
    # The first noise level of DDIM, which `take_apart` puts in the place of any scheduler, is 1.
    return DiffusionModel(
        name, sha256, TextEncoder(pipeline, denoiser.num_branches), prior(latent, 1.0), denoiser,
        Decoder(pipeline, latent, image), ImageEncoder(pipeline, latent, image), pipeline, runtime,
    )  # fmt: skip


@final
class _Pipeline:
    """Stands for a pipeline: shapes from its configurations, and everything else from the pipeline itself.

    Args:
        folder: of the model.
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
        self.tokenizer = SimpleNamespace(
            model_max_length=int(_json(folder / "tokenizer" / "tokenizer_config.json")["model_max_length"])
        )

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
