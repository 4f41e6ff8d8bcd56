"""The methods of photographs: crops as seeds and as files over the same air, judged against the crops themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from gainnet.codecs import LinearCode, QuantizedSeed, TransformSeed
from gainnet.codecs.content import Content
from gainnet.codecs.opponents import BestPicture
from gainnet.codecs.seed_codec import SeedCodec
from gainnet.core.randomness import Random
from gainnet.core.types import Spec
from gainnet.core.units import psnr_db_of_mse
from gainnet.studies.own import Guarded, OwnCodec, own
from gainnet.studies.photographs.material import Half, Material, encoders
from gainnet.studies.photographs.question import AUTOENCODER, CODECS, METHODS, SEEDS
from gainnet.studies.seed_coding.judging import fast_ssim
from gainnet.studies.seed_coding.transports import Analog, Digital, Received, Transport, own_transport
from gainnet.studies.study import Case, Method, Row, Value

AIR: Final = "air"
"""Streams of the noise: the same for all methods."""


def methods(material: Material) -> Mapping[str, Method]:
    """All methods by name."""

    def seeds(case: Case) -> Mapping[str, Transport]:
        half = case.text("half")
        return {
            "linear": Analog(lambda uses, prompts: LinearCode(uses, material.basis_of(half))),
            "seed": Analog(lambda uses, prompts: SeedCodec(uses, weights=material.seed_of(half))),
            "digital": Digital(lambda bits, prompts: QuantizedSeed(bits, basis=material.basis_of(half))),
            "transform": Digital(lambda bits, prompts: TransformSeed(bits, weights=material.transform_of(half))),
        }

    def send_seed(name: str, case: Case, random: Random) -> Row:
        half = _half(material, case)
        received = seeds(case)[name](_aired(case), half.latents, (), _streams(case, half))
        return _row(material, half, material.decoded(received.values), received)

    def send_picture(name: str, case: Case, random: Random) -> Row:
        half, table = _half(material, case), encoders()
        transport = Digital(lambda bits, prompts: BestPicture(bits, (name,), material.encodes, table))
        received = transport(_aired(case), half.crops, (), _streams(case, half))
        return _row(material, half, received.values, received)

    def encode_alone(case: Case, random: Random) -> Row:
        half = _half(material, case)
        return _row(material, half, material.decoded(half.latents), Received(half.latents, 0.0))

    def send_own(codec: OwnCodec, case: Case, random: Random) -> Row:
        half, is_seed = _half(material, case), codec.kind == "seed"
        sent = half.latents if is_seed else half.crops
        # No model by name: its codes were learned here, and a codec of the user's brings its own.
        transport = own_transport(codec, Content(Spec(tuple(sent.shape[1:])), codec.kind))
        received = transport(_aired(case), sent, (), _streams(case, half))
        values = material.decoded(received.values) if is_seed else received.values
        return _row(material, half, values, received)

    users = own(material.config.methods, METHODS)
    return {
        AUTOENCODER: encode_alone,
        **{name: partial(send_seed, name) for name in SEEDS},
        **{name: partial(send_picture, name) for name in CODECS},
        **{name: Guarded(name, partial(send_own, OwnCodec.of_text(name))) for name in users},
    }


def _half(material: Material, case: Case) -> Half:
    return material.half_of(case.text("half"), case.random_seed)


def _aired(case: Case) -> Case:
    """The case as a transport reads it: AWGN with exact reports, bits in codewords."""
    air: dict[str, Value] = {"fading": "awgn", "bearer": "ldpc", "report_offset_db": 0.0, "report_error_db": 0.0}
    return replace(case, values={**case.values, **air})


def _streams(case: Case, half: Half) -> Random:
    """Streams of the crops, different in both halves and equal for all methods."""
    first = 1_000_000 * case.random_seed + 1000 * min(half.photograph_of)
    return Random.of(range(first, first + len(half.crops))).child(AIR)


@torch.no_grad()
def _row(material: Material, half: Half, pictures: Tensor, received: Received) -> Row:
    errors = (pictures - half.crops).double().square().flatten(1).mean(1)
    found = material.features(pictures)
    # Of the last layer, whose features are not negative: 0 for the same kind of thing, 1 for nothing in common.
    apart = 1 - functional.cosine_similarity(found.pooled, half.features.pooled)
    near = (found.local - half.features.local).square().sum(1) / half.features.local.square().sum(1)
    # Chunks, since moments of all crops at once would take a gigabyte.
    pairs = zip(pictures.split(8), half.crops.split(8), strict=True)
    ssim = torch.cat([fast_ssim(a, b) for a, b in pairs])
    return {
        "psnr_db": round(float(psnr_db_of_mse(errors.mean().clamp_min(1e-12))), 4),
        "mse": float(f"{float(errors.mean()):.6g}"),
        "ssim": round(float(ssim.mean()), 5),
        "feature_distance": round(float(apart.mean()), 6),
        "local_distance": round(float(near.mean()), 6),
        "num_channel_uses_sent": received.num_channel_uses,
        "num_bits": received.num_bits,
        "delivered": received.delivered,
        "num_crops": len(half.crops),
        "photograph_of_crops": " ".join(map(str, half.photograph_of)),
        "psnr_db_of_crops": _texts(psnr_db_of_mse(errors.clamp_min(1e-12)), 3),
        "ssim_of_crops": _texts(ssim, 4),
        "feature_distance_of_crops": _texts(apart, 5),
    }


def _texts(values: Tensor, digits: int) -> str:
    return " ".join(f"{float(x):.{digits}f}" for x in values)
