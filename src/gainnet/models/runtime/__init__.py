"""Runtimes that compute the networks of a model: torch, or onnxruntime on graphs that `export` wrote.

    pipeline.unet | text_encoder | vae  --torch or onnxruntime-->  the same tensors within 1e-3

A runtime stands below the parts: denoiser, decoder, cuts and hand-overs stay as they are. onnxruntime gives every item
of a batch of 1 to 16 the same bits as the item alone, and torch does not, since its kernels depend on the batch.
"""

from gainnet.models.runtime.networks import Networks, replace_networks
from gainnet.models.runtime.onnx import Runtime, decoder_of, on_runtime

__all__ = ["Networks", "Runtime", "decoder_of", "on_runtime", "replace_networks"]
