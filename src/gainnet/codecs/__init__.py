"""Tensor to payload and back."""

from typing import Any

from gainnet.codecs.activations import Float16, Int8, Octets, TopK
from gainnet.codecs.basis import SeedBasis
from gainnet.codecs.codec import AnyCodec, Codec
from gainnet.codecs.digital_seed import QuantizedSeed
from gainnet.codecs.edge_map import EdgeMap
from gainnet.codecs.image import AVIF, JPEG, PNG, WebP
from gainnet.codecs.linear import LinearCode, linear_mse, linear_powers
from gainnet.codecs.matched_seed import MatchedSeed
from gainnet.codecs.opta import backward_test_channel, gaussian_opta, reverse_water_filling
from gainnet.codecs.quantizer import UniformQuantizer
from gainnet.codecs.raw import Float32, RawAnalog, RawPixels
from gainnet.codecs.seed_codec import SeedCodec, SeedWeights
from gainnet.codecs.sketch import AnalogSketch, QuantizedSketch
from gainnet.codecs.text import TextCodec
from gainnet.codecs.transform_seed import TransformSeed, TransformWeights

IMAGE_CODECS: dict[str, type[Any]] = {"jpeg": JPEG, "png": PNG, "webp": WebP, "avif": AVIF, "raw_pixels": RawPixels}
"""For pictures in [0, 1]; every one emits bits."""

SEED_CODECS: dict[str, type[Any]] = {
    "raw": RawAnalog,
    "linear": LinearCode,
    "seed": SeedCodec,
    "digital": QuantizedSeed,
    "transform": TransformSeed,
    "uniform": UniformQuantizer,
    "float32": Float32,
}
"""For latents; raw, linear and seed emit symbols, the others bits."""

SKETCH_CODECS: dict[str, type[Any]] = {
    "quantized": QuantizedSketch,
    "raw_pixels": RawPixels,
    "analog": AnalogSketch,
    "edges": EdgeMap,
}
"""For sketches; edges is for maps of edges, the others are for small pictures; analog emits symbols."""

TEXT_CODECS: dict[str, type[Any]] = {"text": TextCodec}
"""For prompts."""

ACTIVATION_CODECS: dict[str, type[Any]] = {"float32": Float32, "float16": Float16, "int8": Int8, "top_k": TopK}
"""For activations and gradients; every one emits bits."""

__all__ = [
    "ACTIVATION_CODECS",
    "AVIF",
    "IMAGE_CODECS",
    "JPEG",
    "PNG",
    "SEED_CODECS",
    "SKETCH_CODECS",
    "TEXT_CODECS",
    "AnalogSketch",
    "AnyCodec",
    "Codec",
    "EdgeMap",
    "Float16",
    "Float32",
    "Int8",
    "LinearCode",
    "MatchedSeed",
    "Octets",
    "QuantizedSeed",
    "QuantizedSketch",
    "RawAnalog",
    "RawPixels",
    "SeedBasis",
    "SeedCodec",
    "SeedWeights",
    "TextCodec",
    "TopK",
    "TransformSeed",
    "TransformWeights",
    "UniformQuantizer",
    "WebP",
    "backward_test_channel",
    "gaussian_opta",
    "linear_mse",
    "linear_powers",
    "reverse_water_filling",
]
