"""A model computed by onnxruntime, one thread of the processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, import_extra, unknown_name
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import find_folder
from gainnet.models.runtime.manifest import Exported
from gainnet.models.runtime.networks import Networks, replace_networks

Runtime = Literal["torch", "onnx"]


def on_runtime(model: DiffusionModel, runtime: Runtime) -> DiffusionModel:
    """A model whose networks another runtime computes; tensors agree with torch's within 1e-3.

    Args:
        model: as it was loaded, computed by torch.
        runtime: `torch` returns the model as it is; `onnx` reads the graphs beside its weights.

    Raises:
        ConfigError: there is no such runtime, or the model is not on the processor.
        ModelError: the model has no graphs, or they are damaged or of other weights.
        MissingExtraError: onnxruntime is not installed.

    >>> from gainnet.models.loading import load_model
    >>> on_runtime(load_model("scenes", num_steps=2), "onnx").runtime
    'onnx'
    """
    if runtime not in get_args(Runtime):
        raise unknown_name("runtime", runtime, get_args(Runtime))
    if runtime == model.runtime:
        return model
    if runtime == "torch":
        raise ConfigError("runtime: the model was opened with onnx; load it again for torch")
    if model.pipeline.device.type != "cpu":
        raise ConfigError("runtime: onnx computes on the processor; leave torch_device at cpu")
    exported = Exported.read(find_folder(model.name), model.sha256)
    unet, text_encoder = _Session(exported, "unet"), _Session(exported, "text_encoder")
    decoder, encoder = _Session(exported, "decoder"), _Session(exported, "image_encoder")
    return replace_networks(
        model,
        Networks(
            lambda sample, timestep, condition: unet(sample, timestep.expand(len(sample)).float(), condition),
            text_encoder,
            decoder,
            encoder,
        ),
        runtime,
    )


def decoder_of(folder: Path, sha256: str) -> Callable[[Tensor], Tensor]:
    """The decoder of a model alone: latents [n, c, h, w], not scaled, to pixels [n, 3, H, W] in about [-1, 1].

    Args:
        folder: of the model, with graphs beside its weights.
        sha256: of the model.

    Raises:
        ModelError: the model has no graphs, or they are of other weights.
    """
    return _Session(Exported.read(folder, sha256), "decoder")


class _Session:
    """One graph, opened when it is first called: a device that only decodes never reads a denoiser."""

    def __init__(self, exported: Exported, part: str) -> None:
        self._exported, self._part = exported, part
        self._opened: Any = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """[n, ...], its output for inputs [n, ...] each."""
        if self._opened is None:
            self._opened = _open(self._exported, self._part)
        names = [each.name for each in self._opened.get_inputs()]
        fed = {name: np.ascontiguousarray(x.numpy()) for name, x in zip(names, inputs, strict=True)}
        (output,) = self._opened.run(None, fed)
        return torch.from_numpy(output)


def _open(exported: Exported, part: str) -> Any:
    onnxruntime = import_extra("onnxruntime", "onnxruntime", "serve")
    options = onnxruntime.SessionOptions()
    # One thread, since sums over threads depend on their number; the house runs many processes instead.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    providers: Sequence[str] = ("CPUExecutionProvider",)
    return onnxruntime.InferenceSession(exported.graph(part), options, providers=list(providers))
