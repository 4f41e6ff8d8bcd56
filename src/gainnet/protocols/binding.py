"""Codecs bound to their content: the model, the prompts, the link and the number of channel uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

from gainnet.codecs import Codecs, Content, Kind
from gainnet.codecs.rate_matched import RateMatched
from gainnet.codecs.selection import Automatic, bind, suitable
from gainnet.core.types import Spec
from gainnet.models.completing import noise_level
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.sketches import picture_sketch
from gainnet.protocols.budget import Budget, block_length, typical_snrs
from gainnet.protocols.least import check_fits
from gainnet.protocols.plan import Plan, Transfer
from gainnet.protocols.protocol import HandsOver, Protocol
from gainnet.radio.links.link import AnyLink


@final
@dataclass(frozen=True)
class Binding:
    """Model, link and prompts that the codecs of one generation are bound to.

    Args:
        protocol: which tensors are sent.
        model: whose tensors they are.
        downlink: link that carries content as bits.
        mean_snr: mean linear SNR of the air; `inf` when nothing is lost.
        prompts: one per item, known to both ends.
        num_channel_uses: complex channel uses per picture of the content; chosen by the codecs when `None`.
        strength: of image-to-image; `None` without a picture.
    """

    protocol: Protocol
    model: DiffusionModel
    downlink: AnyLink
    mean_snr: float
    prompts: tuple[str, ...]
    num_channel_uses: int | None = None
    strength: float | None = None

    def content(self, kind: Kind) -> Content:
        """Tensors of that kind."""
        signal, noise = self._noise_level() if kind == "midway" else (1.0, 0.0)
        return Content(
            spec=self._spec(kind),
            kind=kind,
            model=self.model.name,
            model_sha256=self.model.sha256,
            prompts=self.prompts,
            signal=signal,
            noise=noise,
            num_channel_uses=self.num_channel_uses,
            capacity_bits=None if self.num_channel_uses is None else self._budget(self.num_channel_uses),
            snrs=self._snrs,
            mean_snr=self.mean_snr,
            is_resumed=isinstance(self.protocol, HandsOver) and self.protocol.resumes,
        )

    def chosen(self, codecs: Codecs) -> Codecs:
        """The codecs that the protocol sends with, where `Automatic` is replaced by what suits its content."""
        automatic = [kind for kind in self.protocol.sends if isinstance(codecs.of(kind), Automatic)]
        return replace(codecs, **{kind: suitable(self.content(kind)) for kind in automatic})

    def bound(self, codecs: Codecs) -> Codecs:
        """The codecs that the protocol sends with, each bound to its content.

        Raises:
            ConfigError: a codec cannot keep to the number of channel uses.
            ModelError: no weights of a codec fit the model.
        """
        return replace(codecs, **{kind: bind(codecs.of(kind), self.content(kind)) for kind in self.protocol.sends})

    def check_fits(self, codecs: Codecs, labels: Mapping[Kind, str]) -> None:
        """Raises `ConfigError` when the number of channel uses is too small for anything that is sent.

        Args:
            codecs: bound.
            labels: what the codecs are called, by kind, of those that are used.
        """
        for kind, label in labels.items():
            codec = codecs.of(kind)
            # Codecs of fixed size were refused when they were bound; only a budget can be too small.
            if self.num_channel_uses is None or not isinstance(codec, RateMatched):
                continue
            check_fits(label, codec, self._spec(kind), len(self.prompts), max(self._snrs), self._budget)

    @cached_property
    def _snrs(self) -> tuple[float, ...]:
        # Kept, since those of a frequency-selective channel are drawn.
        return typical_snrs(self.downlink)

    def _budget(self, num_channel_uses: int) -> Budget:
        return Budget.of(self.downlink, num_channel_uses, block_length(self.downlink), self._snrs)

    def _spec(self, kind: Kind) -> Spec:
        match kind:
            case "prompt":
                return Spec((max((len(prompt.encode()) for prompt in self.prompts), default=1),))
            case "image":
                return self.model.image
            case "sketch":
                return picture_sketch(self.model.image).writes["sketch"]
            case _:
                return self.model.latent

    def _noise_level(self) -> tuple[float, float]:
        """Signal and noise of the latent that is handed over."""
        if not isinstance(self.protocol, HandsOver):
            return 1.0, 0.0
        step = self.protocol.step_of_hand_over(self.model, self.strength)
        # After the last step nothing is handed over midway: the latent is finished, and a seed codec carries it.
        if step >= self.model.denoiser.num_steps:
            return 1.0, 0.0
        return noise_level(self.model.pipeline.scheduler, step)


def kinds_sent(plan: Plan, codecs: Codecs, protocol: Protocol) -> tuple[Kind, ...]:
    """Kinds of tensors that a plan really sends; a cut may leave nothing of a kind to be sent."""
    used = [step.codec for step in plan.steps if isinstance(step, Transfer)]
    return tuple(kind for kind in protocol.sends if any(codecs.of(kind) is codec for codec in used))
