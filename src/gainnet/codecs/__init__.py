"""Codecs: tensor to payload and back, for seeds, sketches, pictures, activations and text.

A codec object holds what its user decided; `bind` (in `selection`) adds what model, prompts and link decide. Links,
nodes and protocols are unknown here, and models are known by their digests and their decoders alone.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gainnet.codecs.activations import Float16, Int8, Octets, TopK
from gainnet.codecs.basis import SeedBasis
from gainnet.codecs.codec import AnyCodec, Codec
from gainnet.codecs.content import Content, Kind
from gainnet.codecs.correction import CorrectionWeights, ResidualCode
from gainnet.codecs.digital_seed import QuantizedSeed
from gainnet.codecs.edge_map import EdgeMap
from gainnet.codecs.image import AVIF, JPEG, PNG, PictureCodec, WebP
from gainnet.codecs.linear import LinearCode, linear_mse, linear_powers
from gainnet.codecs.matched_seed import MatchedSeed
from gainnet.codecs.opta import backward_test_channel, gaussian_opta, reverse_water_filling
from gainnet.codecs.quantizer import UniformQuantizer
from gainnet.codecs.raw import Float32, RawAnalog, RawPixels
from gainnet.codecs.seed_codec import SeedCodec, SeedWeights
from gainnet.codecs.selection import Automatic, Codecs, bind
from gainnet.codecs.sketch import AnalogSketch, QuantizedSketch
from gainnet.codecs.text import TextCodec
from gainnet.codecs.transform_seed import TransformSeed, TransformWeights

CODECS: Mapping[Kind, Mapping[str, Callable[[], AnyCodec]]] = {
    "prompt": {"text": TextCodec},
    "seed": {
        "raw": RawAnalog,
        "linear": LinearCode,
        "digital": QuantizedSeed,
        "seed": SeedCodec,
        "seed_prompt": partial(SeedCodec, prompts=()),
        "transform": TransformSeed,
        "transform_prompt": partial(TransformSeed, prompts=()),
        "float32": Float32,
    },
    "midway": {"raw": RawAnalog, "matched": MatchedSeed, "uniform": UniformQuantizer, "float32": Float32},
    "sketch": {
        "quantized": QuantizedSketch,
        "analog": AnalogSketch,
        "edges": EdgeMap,
        "raw_pixels": RawPixels,
        "float32": Float32,
    },
    "correction": {"residual": ResidualCode, "uniform": UniformQuantizer, "float32": Float32},
    "image": {"jpeg": JPEG, "png": PNG, "webp": WebP, "avif": AVIF, "raw_pixels": RawPixels, "float32": Float32},
}
"""By what they carry and by name; `..._prompt` uses the prompts as side information of both ends."""

ACTIVATION_CODECS: dict[str, type[Any]] = {"float32": Float32, "float16": Float16, "int8": Int8, "top_k": TopK}
"""For activations and gradients; every one emits bits."""

__all__ = [
    "ACTIVATION_CODECS",
    "AVIF",
    "CODECS",
    "JPEG",
    "PNG",
    "AnalogSketch",
    "AnyCodec",
    "Automatic",
    "Codec",
    "Codecs",
    "Content",
    "CorrectionWeights",
    "EdgeMap",
    "Float16",
    "Float32",
    "Int8",
    "Kind",
    "LinearCode",
    "MatchedSeed",
    "Octets",
    "PictureCodec",
    "QuantizedSeed",
    "QuantizedSketch",
    "RawAnalog",
    "RawPixels",
    "ResidualCode",
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
    "bind",
    "gaussian_opta",
    "linear_mse",
    "linear_powers",
    "reverse_water_filling",
]
