"""The systems that image-quality compares, each on the same budget of channel uses, and the two bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.codecs import AVIF, JPEG, Codecs, LinearCode, QuantizedSeed, RawAnalog, RawPixels, TextCodec, WebP
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.content import Content
from gainnet.codecs.opta import backward_test_channel
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Payload, Size, Spec
from gainnet.network.hardware import Hardware
from gainnet.network.scenario import DEVICE, EDGE
from gainnet.protocols import Centralized, Eiug, Protocol, execute
from gainnet.radio import Tabulated
from gainnet.radio.links.link import AnyLink
from gainnet.studies.image_quality.air import BudgetedAir
from gainnet.studies.image_quality.material import Material
from gainnet.studies.own import Guarded, OwnCodec
from gainnet.studies.study import Case, Method, Row

PIXEL_BITS = 8
FIRST_LATENT_DOWN = ("air", EDGE, DEVICE, "latent", 1)
"""Streams of the first transfer of a latent, so that the bound sees the fading of the systems."""
LinkOf = Callable[[BudgetedAir, Hardware, Hardware], AnyLink]
CodecFor = Callable[[BudgetedAir, AnyLink, tuple[str, ...]], AnyCodec]
"""A codec that fills the budget of an air over a link, with the prompts of the pictures at hand."""


def methods(material: Material) -> Mapping[str, Method]:
    """All methods by name."""
    basis, num_values = material.basis, material.model.image.num_values
    picture, seed = (partial(System, material, protocol) for protocol in (Centralized(), Eiug()))
    codecs: dict[str, CodecFor] = {
        "jpeg": _filled(lambda bits: JPEG(max_bits=bits)),
        "webp": _filled(lambda bits: WebP(max_bits=bits)),
        "avif": _filled(lambda bits: AVIF(max_bits=bits)),
    }
    digital = _filled(lambda bits: QuantizedSeed(max_bits=bits, basis=basis))
    return {
        **{name: picture(BudgetedAir.tabulated, codec) for name, codec in codecs.items()},
        **{f"{name}_shannon": picture(BudgetedAir.shannon, codec) for name, codec in codecs.items()},
        "raw_pixels": picture(BudgetedAir.tabulated, partial(_raw_pixels, num_values)),
        "raw": seed(BudgetedAir.analog, lambda air, *_: RawAnalog(air.num_channel_uses, scale=basis.root_mean_square)),
        "linear": seed(BudgetedAir.analog, lambda air, *_: LinearCode(air.num_channel_uses, basis)),
        "digital": seed(BudgetedAir.tabulated, digital),
        "gaussian_opta": partial(gaussian_opta, material),
        **{name: Guarded(name, _own(material, OwnCodec.of_text(name))) for name in material.own},
    }


def _own(material: Material, own: OwnCodec) -> System:
    """The system of a codec of the user's."""
    shape = material.model.image if own.kind == "image" else material.model.latent
    content = Content(shape, own.kind, material.model.name, material.model.sha256)
    of_bits = own.emits is Bits

    def codec_for(air: BudgetedAir, link: AnyLink, prompts: tuple[str, ...]) -> AnyCodec:
        # Prompts are both ends' knowledge here as in `gainnet generate`.
        about = replace(content, prompts=prompts)
        if not of_bits:
            return own.bound(about, air.num_channel_uses)
        return air.matched(lambda bits: own.bound(about, air.num_channel_uses, bits), link)

    protocol = Centralized() if own.kind == "image" else Eiug()
    return System(material, protocol, BudgetedAir.tabulated if of_bits else BudgetedAir.analog, codec_for)


def _filled(codec_of: Callable[[float], AnyCodec]) -> CodecFor:
    """The codec that fills the budget of an air."""
    return lambda air, link, _: air.matched(codec_of, link)


def _raw_pixels(num_values: int, air: BudgetedAir, link: AnyLink, _: tuple[str, ...]) -> AnyCodec:
    """As many bits per value as the air carries, at most eight; raises `ConfigError` when it does not carry one."""
    return RawPixels(min(PIXEL_BITS, int(air.mean_budget_bits(link) // num_values)))


@final
@dataclass(frozen=True)
class System:
    """A protocol with a link and a codec that fill the budget of a case.

    pictures on the edge --codec--> link --> pictures on the device, judged against those on the edge

    Args:
        material: model, judge, prices and pictures.
        protocol: who finishes the picture.
        link_of: the downlink of an air between two radios.
        codec_for: what carries the content over that link.
    """

    material: Material
    protocol: Protocol
    link_of: LinkOf
    codec_for: CodecFor

    def __call__(self, case: Case, random: Random) -> Row:
        """Quality and cost of a batch; quality is empty where the codec cannot be sent in this budget."""
        air, material = BudgetedAir.of(case), self.material
        pictures = material.pictures_of(case.random_seed)
        link = self.link_of(air, material.edge, material.device)
        network = air.network(material.edge, material.device, link)
        arrived: list[bool] = []
        try:
            codec = self.codec_for(air, link, pictures.prompts)
            noted = NotedBits(codec, arrived) if codec.emits is Bits else codec
            codecs = Codecs(prompt=TextCodec(), seed=noted, image=noted)
            plan = self.protocol.plan(material.model, codecs, (EDGE,))
            # Priced first: a codec that does not fit into the budget is refused here, before anything is sent.
            priced = material.priced(case, plan, network)
            # Only after pricing, as a price is that of a picture that arrives.
            if isinstance(link, Tabulated) and air.slack < math.inf:
                network = air.network(material.edge, material.device, air.in_time(link))
        except ConfigError:
            return {"num_images": len(pictures.prompts), "mse": None}
        with torch.no_grad():
            rest = plan.remaining(pictures.places)
            places, report = execute(rest, pictures.places, network, pictures.random, material.pricing)
        num = len(pictures.prompts)
        return {
            **material.judge(places[plan.result], pictures),
            "delivered": sum(arrived) / len(arrived) if arrived else 1.0,
            "num_bits": report.num_bits / num,
            "num_channel_uses_down": report.num_channel_uses("down") / num,
            "num_retransmissions": report.num_retransmissions / num,
            "num_channel_uses_up_expected": priced.num_channel_uses("up"),
            "duration_s_expected": priced.duration_s,
            "energy_j_expected": priced.energy_j,
            "num_images": num,
            "block_length": air.block_length,
        }


@torch.no_grad()
def gaussian_opta(material: Material, case: Case, random: Random) -> Row:
    """Seeds through the Gaussian backward test channel at the rate of the air, then the decoder."""
    air, pictures = BudgetedAir.of(case), material.pictures_of(case.random_seed)
    # The streams of the systems, so that a bound is not luckier than what it bounds.
    random = pictures.random.child(*FIRST_LATENT_DOWN)
    snr = 2 ** (air.mutual_information(random) / air.num_channel_uses) - 1
    uses, spec = float(air.num_channel_uses), material.model.latent
    latents = backward_test_channel(pictures.latents, material.basis, uses, snr, spec, random)
    images = material.model.decoder({"latent": latents}, random)["image"]
    return {**material.judge(images, pictures), "num_images": len(pictures.prompts)}


@final
@dataclass(frozen=True)
class NotedBits:
    """A codec of bits that notes which items arrived.

    Args:
        codec: what is noted.
        arrived: filled by `decode`, one entry per item.
    """

    codec: AnyCodec
    arrived: list[bool]
    emits: ClassVar[type[Payload]] = Bits

    def size(self, spec: Spec) -> Size:
        return self.codec.size(spec)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        payload: Bits = self.codec.encode(x, reported_snr)
        return payload

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        self.arrived[:] = [string is not None for string in payload.strings]
        decoded: Tensor = self.codec.decode(payload, spec)
        return decoded
