"""Runs of configurations on pictures: what each sends, what the air makes of it, and how good the picture is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, final

import torch
from torch import Tensor

from gainnet.codecs import AVIF, CorrectionWeights, LinearCode, ResidualCode, TransformSeed, TransformWeights
from gainnet.codecs.components import Components, load_components
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Bits
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.drafts import digests, draft_part
from gainnet.models.loading import load_model
from gainnet.radio import Air, Analog, Arq, Tabulated
from gainnet.studies.decision.configurations import NUM_STEPS, Candidate
from gainnet.studies.pictures import drafts_of, in_batches

GREY: Final = 0.5
"""Level of all values of a picture that did not arrive."""


@final
@dataclass(frozen=True, eq=False)
class Coded:
    """Pictures of a configuration before they are sent.

    Args:
        strings: of every item; empty for analog symbols, or where nothing is sent.
        errors: [n], mean squared errors of pictures whose content arrives unharmed.
        errors_if_lost: [n], of those whose content does not.
    """

    strings: tuple[bytes, ...]
    errors: Tensor
    errors_if_lost: Tensor


@final
@dataclass(frozen=True)
class Run:
    """One picture of a configuration over the air.

    Args:
        error: mean squared error against the channel-free picture, values in [0, 1].
        num_channel_uses: down, retransmissions and acknowledgements counted.
        num_waits: for feedback.
        is_delivered: whether its content arrived.
    """

    error: float
    num_channel_uses: float
    num_waits: float
    is_delivered: bool


@final
@dataclass(frozen=True, eq=False)
class Bench:
    """Pictures on which configurations are run.

    Args:
        name: of the model.
        prompts: one per picture.
        random: streams of the pictures, [num_pictures].
    """

    name: str
    prompts: tuple[str, ...]
    random: Random
    _coded: dict[str, Coded] = field(default_factory=dict, init=False, repr=False)
    _models: dict[int, DiffusionModel] = field(default_factory=dict, init=False, repr=False)
    _latents: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False)

    def model(self, num_steps: int = NUM_STEPS) -> DiffusionModel:
        """The model with that many steps, opened once."""
        if num_steps not in self._models:
            self._models[num_steps] = load_model(self.name, num_steps)
        return self._models[num_steps]

    def latents(self, num_steps: int = NUM_STEPS) -> Tensor:
        """[n, *latent], finished by that many steps from the noise of every item."""
        if num_steps not in self._latents:
            model, given = self.model(num_steps), {"prompt": text_to_tensor(list(self.prompts))}
            parts = (model.text_encoder, model.prior, model.denoiser)
            self._latents[num_steps] = in_batches(parts, given, self.random, ("latent",))["latent"]
        return self._latents[num_steps]

    @cached_property
    def images(self) -> Tensor:
        """[n, 3, H, W], channel-free pictures of the whole run: the references."""
        return self.decoded(self.latents(), self.random)

    def decoded(self, latents: Tensor, random: Random) -> Tensor:
        """[n, 3, H, W], pictures of latents [n, ...]."""
        given = {"latent": latents.reshape(-1, *self.model().latent.shape)}
        return in_batches((self.model().decoder,), given, random, ("image",))["image"]

    def errors(self, latents: Tensor) -> Tensor:
        """[n] float64, mean squared errors of the pictures of latents [n, ...] of all items."""
        return _errors(self.decoded(latents, self.random), self.images)

    @cached_property
    def basis(self) -> Components:
        """Principal components of the linear code."""
        return load_components(self.name, self.model().sha256)

    @cached_property
    def transform(self) -> TransformWeights:
        """Of the transform code of seeds."""
        return TransformWeights.load(self.name, self.model().sha256)

    @cached_property
    def correction(self) -> CorrectionWeights:
        """Of the code of corrections."""
        return CorrectionWeights.load(self.name, self.model().sha256)

    def coded(self, candidate: Candidate) -> Coded:
        """All pictures of a configuration, coded once."""
        if candidate.name not in self._coded:
            make = {"picture": self._picture, "transform": self._transform, "draft": self._draft}.get(candidate.kind)
            self._coded[candidate.name] = self._alone(candidate) if make is None else make(candidate)
        return self._coded[candidate.name]

    def over(self, candidate: Candidate, items: Sequence[int], air: Air) -> list[Run]:
        """Runs of some items over an air; all configurations of an item meet the same fading and noise.

        Args:
            candidate: the configuration.
            items: numbers of pictures.
            air: down.
        """
        if candidate.kind == "alone":
            return [Run(float(self.coded(candidate).errors[k]), 0.0, 0.0, True) for k in items]
        seeds = tuple(self.random.random_seeds[k] for k in items)
        streams = Random(seeds, (len(seeds),)).child("decision")
        if candidate.kind == "linear":
            return self._linear(candidate, items, air, streams)
        coded = self.coded(candidate)
        payload = Bits(tuple(coded.strings[k] for k in items), streams.batch)
        arrived, uses, waits = sent(payload, air, streams)
        errors = [coded.errors if ok else coded.errors_if_lost for ok in arrived]
        return [Run(float(e[k]), u, w, ok) for e, k, u, w, ok in zip(errors, items, uses, waits, arrived, strict=True)]

    def _linear(self, candidate: Candidate, items: Sequence[int], air: Air, streams: Random) -> list[Run]:
        code, link = LinearCode(candidate.point, self.basis), Analog(air)
        state = link.observe(streams)
        received, _ = link.send(code.encode(self.latents()[list(items)], state.reported_snr), state, streams)
        images = self.decoded(code.decode(received, self.model().latent), streams)
        errors = _errors(images, self.images[list(items)])
        return [Run(float(error), float(candidate.point), 0.0, True) for error in errors]

    def _alone(self, candidate: Candidate) -> Coded:
        is_fast = candidate.form == "fast"
        errors = self.errors(self._drafts(candidate.draft) if is_fast else self.latents(candidate.num_steps))
        return Coded((), errors, errors)

    def _picture(self, candidate: Candidate) -> Coded:
        made = self.decoded(self.latents(candidate.num_steps), self.random)
        codec = AVIF(quality=candidate.point)
        payload = codec.encode(made, torch.ones(len(made)))
        lost = _errors(torch.full_like(made, GREY), self.images)
        return Coded(strings_of(payload), _errors(codec.decode(payload, self.model().image), self.images), lost)

    def _transform(self, candidate: Candidate) -> Coded:
        codec = TransformSeed(level=candidate.point, prompts=self.prompts, weights=self.transform)
        latents, spec = self.latents(candidate.num_steps), self.model().latent
        payload = codec.encode(latents, torch.ones(len(latents)))
        nothing = Bits((None,) * len(latents), payload.batch)
        errors, lost = (self.errors(codec.decode(each, spec)) for each in (payload, nothing))
        return Coded(strings_of(payload), errors, lost)

    def _draft(self, candidate: Candidate) -> Coded:
        drafts = self._drafts(candidate.draft)
        code = ResidualCode(level=candidate.point, draft=candidate.draft, weights=self.correction)
        values = code.residual(self.latents().flatten(1), drafts)
        items = code.items(torch.cat([values, digests(drafts)[:, None].float()], 1))
        sent_values = torch.stack([torch.from_numpy(item.values) for item in items]).float()
        corrected = code.corrected(drafts, sent_values)
        return Coded(tuple(item.string for item in items), self.errors(corrected), self.errors(drafts))

    def _drafts(self, name: str) -> Tensor:
        """[n, num_values], drafts of a name, of the noise of every item."""
        model = self.model()
        return drafts_of(model, draft_part(model, name), self.prompts, self.random).flatten(1)


def sent(payload: Bits, air: Air, streams: Random) -> tuple[list[bool], list[float], list[float]]:
    """Whether items arrive, their channel uses and their waits for feedback, as measured tables say.

    Args:
        payload: strings of [n] items.
        air: that carries them.
        streams: of the transmission, [n].
    """
    times = []
    # A link gives the time of an item alone. With waits of no time, and of one second, both parts of it are known.
    for delay_s in (0.0, 1.0):
        link = Tabulated(replace(air, bandwidth_hz=1.0), arq=Arq(feedback_delay_s=delay_s))
        received, usage = link.send(payload, link.observe(streams), streams)
        times.append(usage.item_s)
    waits = [late - soon for soon, late in zip(*times, strict=True)]
    return [string is not None for string in received.strings], list(times[0]), waits


def strings_of(payload: Bits) -> tuple[bytes, ...]:
    """The strings of a payload in which every item has one."""
    return tuple(string or b"" for string in payload.strings)


def _errors(images: Tensor, references: Tensor) -> Tensor:
    return (images - references).double().square().flatten(1).mean(1)
