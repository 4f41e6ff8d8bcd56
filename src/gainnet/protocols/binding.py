"""Contents that the codecs of a protocol carry: tensors of the model, over the link to the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from gainnet.codecs import Content, Kind
from gainnet.core.types import Spec
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.sketches import picture_sketch
from gainnet.protocols.budget import Budget, block_length, typical_snrs
from gainnet.protocols.protocol import Drafts, HandsOver, Protocol
from gainnet.protocols.task import Task
from gainnet.radio import Digital, Tabulated
from gainnet.radio.links.link import AnyLink


def contents_of(
    protocol: Protocol,
    model: DiffusionModel,
    prompts: Sequence[str],
    downlink: AnyLink,
    num_channel_uses: int | None = None,
    strength: float | None = None,
) -> dict[Kind, Content]:
    """Content of each kind that the protocol sends, to which its codec is bound.

    Args:
        protocol: which kinds are sent, and after which step a latent is handed over.
        model: whose tensors they are.
        prompts: one per item, known to both ends.
        downlink: link that carries content as bits.
        num_channel_uses: complex channel uses per picture of the content; chosen by the codecs when `None`.
        strength: of image-to-image, above 0 to 1; `None` without a picture.
    """
    # Drawn once for all kinds, since those of a frequency-selective channel take long.
    snrs = typical_snrs(downlink)
    shared = Content(
        spec=model.latent,
        model=model.name,
        model_sha256=model.latents_sha256,
        prompts=tuple(prompts),
        num_channel_uses=num_channel_uses,
        capacity_bits=None
        if num_channel_uses is None
        else Budget.of(downlink, num_channel_uses, block_length(downlink), snrs),
        snrs=snrs,
        # Only a radio loses anything; an ideal link or a wire has no noise.
        mean_snr=downlink.air.snr if isinstance(downlink, Digital | Tabulated) else math.inf,
    )
    contents = {kind: replace(shared, kind=kind, spec=_spec(kind, model, prompts)) for kind in protocol.sends}
    if "midway" in contents and isinstance(protocol, HandsOver):
        spec, signal, noise = _handed_over(model, protocol.step_of_hand_over(model, strength), strength)
        resumed = replace(contents["midway"], spec=spec, signal=signal, noise=noise, is_resumed=protocol.resumes)
        contents["midway"] = resumed
    if "correction" in contents and isinstance(protocol, Drafts):
        # The residual, and the digest of the draft behind it.
        spec, name = Spec((model.latent.num_values + 1,)), protocol.name_of_draft(model, strength)
        contents["correction"] = replace(contents["correction"], spec=spec, draft=name)
    return contents


def prompt_spec(prompts: Sequence[str]) -> Spec:
    """Shape of a prompt in a batch: as many bytes as the longest has.

    >>> prompt_spec(["ab", "ö"]).shape
    (2,)
    """
    return Spec((max(len(prompt.encode()) for prompt in prompts),))


def _spec(kind: Kind, model: DiffusionModel, prompts: Sequence[str]) -> Spec:
    match kind:
        case "prompt":
            return prompt_spec(prompts)
        case "image":
            return model.image
        case "sketch":
            return picture_sketch(model.image).writes["sketch"]
        case _:
            return model.latent


def _handed_over(model: DiffusionModel, step: int, strength: float | None) -> tuple[Spec, float, float]:
    """Shape, signal and noise of the latent that is handed over before a step, with the memory of the sampler."""
    # After the last step nothing is handed over midway: the latent is finished, and a seed codec carries it.
    if step >= model.denoiser.num_steps:
        return model.latent, 1.0, 0.0
    denoiser = Task.of(model, strength).denoiser
    return denoiser.state(step - denoiser.start), *model.denoiser.sampler.amplitudes(step)
