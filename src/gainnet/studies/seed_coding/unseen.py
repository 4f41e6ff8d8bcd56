"""Pictures that no training has drawn: every scheme over one link, from -20 to 20 dB.

captions of no training --> latents, pictures --a scheme in a budget--> bits or symbols --one air--> pictures

Bits go with the default retransmissions, headers, check sums and acknowledgements counted; symbols have a mean power of
at most 1 in every item. A budget of bits is in bytes, so that one encode serves all SNRs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from itertools import product
from typing import Final, final

import numpy as np
import torch
from torch import Tensor

from gainnet.codecs import LinearCode
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.opponents import ENCODERS, SCALES, BestPicture
from gainnet.codecs.opponents.best import pixels_of
from gainnet.codecs.opponents.video import VVCS, VideoEncoder
from gainnet.codecs.transform_seed.stream import level_of
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Bits, Payload, Symbols
from gainnet.generation.opponents import DomainPicture, device_only
from gainnet.models.denoised_seed import denoised_seed
from gainnet.radio import AWGN, Air, Analog, Arq, Tabulated
from gainnet.studies.pictures import Pictures, captions, of_prompts
from gainnet.studies.seed_coding.judging import fidelity, quality
from gainnet.studies.seed_coding.material import Material
from gainnet.studies.seed_coding.question import (
    BEST_CODEC,
    DENOISED,
    DEVICE_ONLY,
    OVERLAP,
    POWER,
    SEEDS_OF_BITS,
    SLOWER_VVC,
)
from gainnet.studies.seed_coding.training_lists import training_list
from gainnet.studies.seed_coding.unseen_list import digest_of, unseen_captions
from gainnet.studies.study import Case, Method, Row

FIRST_RANDOM_SEED: Final = 5 << 40
"""Of the noise: trainings begin at 1 << 40 and 3 << 40, studies count from 0."""

AIR: Final = "air"
OPPONENTS: Final = {"vvc": ("vvc",), "hevc": ("hevc",), "avif": ("avif",), BEST_CODEC: tuple(ENCODERS)}
"""Encoders of every opponent among the image codecs."""

NUM_MEASURED: Final = 24
LEVELS_MEASURED: Final = (0, 16, 32, 48, 64, 80, 96, 112, 127)
SLOWER_IMAGES: Final = 20
PATIENT: Final = Arq(feedback_delay_s=0.0)
"""The default retransmissions; without a wait, so that the time of an item counts its channel uses."""


@final
@dataclass(frozen=True)
class Coded:
    """Items as a scheme codes them, the same at every SNR.

    Args:
        payload: strings, one per item.
        images: [num_items, 3, height, width], decoded.
        lost: makes [num_items, 3, height, width], what a receiver shows of items that did not arrive.
        encoders: how many pictures each encoder coded; empty where there is no choice.
    """

    payload: Bits
    images: Tensor
    lost: Callable[[], Tensor]
    encoders: str = ""


@final
@dataclass(frozen=True)
class Unseen:
    """The schemes on unseen pictures; `methods` has them by name.

    Args:
        material: model, judge and weights.
    """

    material: Material
    _kept: dict[str, tuple[object, Coded]] = field(default_factory=dict, repr=False, compare=False)

    def methods(self) -> Mapping[str, Method]:
        """By name."""
        found: dict[str, Method] = dict.fromkeys((*SEEDS_OF_BITS, "domain_picture", *OPPONENTS), self.send_bits)
        found |= {"linear": self.send_symbols, "seed": self.send_symbols}
        checks: dict[str, Method] = {OVERLAP: overlap, POWER: self.power, SLOWER_VVC: self.slower_vvc}
        return found | checks | {DEVICE_ONLY: self.device_only}

    @torch.no_grad()
    def send_bits(self, case: Case, random: Random) -> Row:
        """A budget in bytes: coded once for all SNRs, sent over codewords at table speed."""
        pictures, coded = self._pictures(case.random_seed), self._coded(case)
        link, streams = Tabulated(Air(AWGN(), case.number("snr_db")), arq=PATIENT), pictures.random.child(AIR)
        received, usage = link.send(coded.payload, link.observe(streams), streams)
        arrived = torch.tensor([string is not None for string in received.strings])
        # An item that failed is concealed like any other and ends nothing.
        shown = coded.images if bool(arrived.all()) else torch.where(_wide(arrived), coded.images, coded.lost())
        uses = [round(item_s * link.air.bandwidth_hz, 3) for item_s in usage.item_s]
        lengths = [len(string) for string in coded.payload.strings if string is not None]
        return {
            **self._judged(shown, pictures, uses),
            "num_bits": 8 * sum(lengths) / len(arrived),
            "num_retransmissions": usage.num_retransmissions / len(arrived),
            "delivered": float(arrived.double().mean()),
            **({"encoders": coded.encoders} if coded.encoders else {}),
        }

    @torch.no_grad()
    def send_symbols(self, case: Case, random: Random) -> Row:
        """A budget in channel uses: symbols as they are, scaled down where an item would exceed unit power."""
        pictures, streams = self._pictures(case.random_seed), self._pictures(case.random_seed).random.child(AIR)
        uses, link = case.count("num_channel_uses"), Analog(Air(AWGN(), case.number("snr_db")))
        code, state = self._code_of_symbols(case.method, uses), link.observe(streams)
        sent, power = limited(code.encode(pictures.latents, state.reported_snr))
        received, _ = link.send(sent, state, streams)
        latents = code.decode(received, self.material.model.latent)
        images = self.material.model.decoder({"latent": latents}, pictures.random)["image"]
        return {
            **self._judged(images, pictures, [float(uses)] * len(images)),
            "delivered": 1.0,
            "mean_power": float(sent.values.abs().square().mean()),
            "largest_power_before": float(power.max()),
        }

    @torch.no_grad()
    def power(self, case: Case, random: Random) -> Row:
        """Mean power of the symbols of an item before it is limited, on pictures of another kind.

        Rendered scenes, and crops of a photograph, through the model's encoder.
        """
        model, uses = self.material.model, case.count("num_channel_uses")
        pictures = _others(case.text("pictures"), model.image.shape[1])
        streams = Random.of(range(len(pictures)))
        latents = model.image_encoder({"image": pictures}, streams)["latent"]
        state = Analog(Air(AWGN(), case.number("snr_db"))).observe(streams)
        sent, power = limited(self._code_of_symbols(case.text("code"), uses).encode(latents, state.reported_snr))
        return {
            "num_images": len(pictures),
            "mean_power_before": float(power.mean()),
            "largest_power_before": float(power.max()),
            "mean_power": float(sent.values.abs().square().mean()),
            "largest_power": float(sent.values.abs().square().mean(-1).max()),
        }

    def device_only(self, case: Case, random: Random) -> Row:
        """Prompt and random seed alone, with so few passes of the denoiser; no use of the air."""
        pictures = self._pictures(case.random_seed)
        images = device_only(self.material.model, pictures.prompts, pictures.random, case.count("num_passes"))
        return self._judged(images, pictures, [0.0] * len(images))

    def slower_vvc(self, case: Case, random: Random) -> Row:
        """Squared error of the first pictures in a budget of bytes by VVC's preset slower, and by slow."""
        every = pixels_of(self._pictures(case.random_seed).images[:SLOWER_IMAGES])
        row: dict[str, float] = {"num_images": len(every)}
        for name, encoder in (("slow", VVCS[0]), ("slower", _slower(VVCS[0]))):
            errors = []
            for pixels, scale in product(every, SCALES[:2]):
                tried = self.material.encodes.fitting(encoder, pixels, scale, case.count("num_bytes") - 1)
                errors.append(min((min(point.squared_errors) for point in tried), default=255.0**2))
            of_scales = np.array(errors).reshape(len(every), -1)
            row[f"mse_{name}"] = float(of_scales.min(1).mean() / 255.0**2)
        return row

    def _judged(self, images: Tensor, pictures: Pictures, uses: Sequence[float]) -> Row:
        return {
            **quality(images, pictures.images),
            "prompt_fidelity": fidelity(self.material.classifier, images, pictures.prompts),
            "num_channel_uses_sent": round(sum(uses) / len(uses), 3),
            "uses_of_images": " ".join(f"{x:g}" for x in uses),
            "num_images": len(images),
        }

    def _code_of_symbols(self, name: str, num_channel_uses: int) -> AnyCodec:
        if name == "seed":
            return self.material.seed_code(num_channel_uses, None)
        return LinearCode(num_channel_uses, self.material.basis)

    @cached_property
    def _pictures(self) -> Callable[[int], Pictures]:
        """Pictures of a random seed; remembers the last one."""
        config = self.material.config

        @torch.no_grad()
        def make(random_seed: int) -> Pictures:
            first = config.random_seeds.index(random_seed) * config.num_unseen_images
            items = range(first, first + config.num_unseen_images)
            if items.stop > len(unseen_captions()):
                raise ConfigError(f"num_unseen_images: the list has {len(unseen_captions())} captions; give fewer")
            random = Random.of([FIRST_RANDOM_SEED + item for item in items])
            return of_prompts(self.material.model, unseen_captions()[items.start : items.stop], random)

        return lru_cache(maxsize=1)(make)

    def _coded(self, case: Case) -> Coded:
        """Coded items of a case; remembers the last ones, since SNRs of one budget follow each other."""
        about = case.method, case.random_seed, case.count("num_bytes")
        known = self._kept.get("last")
        if known is None or known[0] != about:
            self._kept["last"] = known = about, self._code(*about)
        return known[1]

    def _code(self, method: str, random_seed: int, num_bytes: int) -> Coded:
        pictures, model = self._pictures(random_seed), self.material.model
        num, prompts = len(pictures.prompts), None if method == "transform" else pictures.prompts
        none, streams = Bits((None,) * num, (num,)), pictures.random
        is_seed = method in SEEDS_OF_BITS
        code = self._code_of_bits(method, 8.0 * num_bytes, prompts)
        payload = code.encode(pictures.latents if is_seed else pictures.images, torch.ones(num))
        if not is_seed:
            show: Callable[[Payload], Tensor] = lambda sent: code.decode(sent, model.image)  # noqa: E731
        elif method == DENOISED:
            show = partial(self._denoised, code, pictures)
        else:
            show = lambda sent: model.decoder({"latent": code.decode(sent, model.latent)}, streams)["image"]  # noqa: E731
        chosen = code.chosen(payload) if isinstance(code, BestPicture) else {}
        encoders = "; ".join(f"{number} x {name}" for name, number in sorted(chosen.items()))
        return Coded(payload, show(payload), lambda: show(none), encoders)

    def _code_of_bits(self, method: str, max_bits: float, prompts: tuple[str, ...] | None) -> AnyCodec:
        if method in OPPONENTS:
            return BestPicture(max_bits, OPPONENTS[method], self.material.encodes)
        if method == "domain_picture":
            # Beside `transform`: neither knows the prompt.
            return DomainPicture(self.material.model, self.material.transform_code(max_bits, None))
        return self.material.transform_code(max_bits, prompts)

    def _denoised(self, code: AnyCodec, pictures: Pictures, sent: Bits) -> Tensor:
        """Pictures after one denoising step with the caption, at the noise level of the quantiser's error."""
        model = self.material.model
        latents = code.decode(sent, model.latent)
        condition = model.text_encoder({"prompt": text_to_tensor(list(pictures.prompts))}, pictures.random)["condition"]
        levels = torch.tensor([-1 if string is None else level_of(string) for string in sent.strings])
        # What did not arrive has no error that a step could take away: it is what the prompt makes expected.
        for level in set(levels.tolist()) - {-1}:
            items = (levels == level).nonzero().squeeze(-1)
            variance = self._error_variance(level)
            latents[items] = denoised_seed(model.denoiser, condition[items], latents[items], variance)
        return model.decoder({"latent": latents}, pictures.random)["image"]

    def _error_variance(self, level: int) -> float:
        """Mean squared error per value of latents at a level of the transform code, between measured ones."""
        levels, variances = self._error_variances
        return float(np.exp(np.interp(level, levels, np.log(variances))))

    @cached_property
    def _error_variances(self) -> tuple[Sequence[int], list[float]]:
        """Levels and errors, on captions and noise of neither the study nor a training: nothing is fitted to either."""
        model, texts = self.material.model, captions("seed-coding errors", 0, NUM_MEASURED)
        pictures = of_prompts(model, texts, Random.of([2 * FIRST_RANDOM_SEED + k for k in range(NUM_MEASURED)]))
        code, found = self.material.transform_code(1e6, texts), []
        for level in LEVELS_MEASURED:
            fixed = replace(code, max_bits=None, level=level)  # type: ignore[type-var]
            decoded = fixed.decode(fixed.encode(pictures.latents, torch.ones(NUM_MEASURED)), model.latent)
            found.append(float((decoded - pictures.latents).double().square().mean()))
        return LEVELS_MEASURED, found


def limited(symbols: Symbols) -> tuple[Symbols, Tensor]:
    """Symbols scaled down to unit power, item by item, where they exceed it, and the power before [num_items].

    The receiver does not learn the factor.

    Args:
        symbols: [num_items, num_symbols].

    >>> limited(Symbols.clean(torch.full((1, 2), 2.0 + 0j)))[0].values.abs()
    tensor([[1., 1.]])
    """
    power = symbols.values.abs().square().mean(-1)
    return replace(symbols, values=symbols.values / power.clamp_min(1.0).sqrt().unsqueeze(-1)), power


def overlap(case: Case, random: Random) -> Row:
    """How many captions of the study are on the list of a training, with the digests of both lists."""
    theirs, ours = training_list(case.text("training")), unseen_captions()
    return {
        "num_captions": len(ours),
        "captions_sha256": digest_of(ours),
        "num_training_captions": len(theirs),
        "training_sha256": digest_of(sorted(theirs)),
        "overlap": len(set(ours) & theirs),
    }


def _wide(arrived: Tensor) -> Tensor:
    return arrived.reshape(-1, 1, 1, 1)


def _slower(encoder: VideoEncoder) -> VideoEncoder:
    return replace(encoder, options=tuple("slower" if option == "slow" else option for option in encoder.options))


def _others(kind: str, side: int) -> Tensor:
    """[num_pictures, 3, side, side], in [0, 1]: rendered scenes, or crops of the photograph that matplotlib brings."""
    if kind == "rendered":
        from gainnet.models.scenes import draw_scenes, render, stream

        return render(draw_scenes(24, stream(0, "seed-coding power", 0)))
    from matplotlib import cbook
    from PIL import Image

    photograph = np.asarray(Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB"))
    crops = torch.from_numpy(photograph.copy()).permute(2, 0, 1).unfold(1, side, side).unfold(2, side, side)
    return crops.permute(1, 2, 0, 3, 4).flatten(0, 1).float() / 255
