"""Mobile edge generation with one edge and one device.

The definitions are those of Zhong et al. (IEEE Network 2024, IEEE Internet of Things Journal 2025); the expansions of
their acronyms are inferred. The device always has the prompt, the picture when there is one, and needs the image.
"""

from __future__ import annotations

from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.matched_seed import MatchedSeed
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.hand_over import HandDown, HandOver
from gainnet.models.renamed import Renamed
from gainnet.network.scenario import DEVICE, EDGE
from gainnet.protocols.candidates import best_drawn, recommended
from gainnet.protocols.plan import Compute, Plan, Step, Transfer
from gainnet.protocols.rescue import resilient
from gainnet.protocols.shares import asked, handed_over
from gainnet.protocols.sketching import completed, sketcher
from gainnet.protocols.task import IMAGE, Task


def uieg(
    model: DiffusionModel,
    prompt_codec: AnyCodec,
    seed_codec: AnyCodec,
    midway_codec: AnyCodec,
    image_codec: AnyCodec,
    cut: int | None = None,
    strength: float | None = None,
) -> Plan:
    """User-equipment inferencing, edge generating: the device begins, the edge finishes and sends the picture back.

    device: text encoder, first steps ==prompt, seed up==> edge: other steps, decoder ==image down==> device

    The condition is a function of the prompt, so the prompt is its shortest code. With a picture and a cut of 0, the
    seed is the picture's latent, and both ends make the same noise.

    Args:
        model: whose parts run.
        prompt_codec: carries the prompt.
        seed_codec: carries the latent of the picture.
        midway_codec: carries a latent between two steps.
        image_codec: carries the picture back.
        cut: steps on the device; 1 by default, 0 with a picture.
        strength: of image-to-image.
    """
    task = Task.of(model, strength)
    at = task.cut(cut, default=1 if task.encoder is None else 0)
    steps = (
        Transfer(DEVICE, (EDGE,), "prompt", prompt_codec),
        *handed_over(task, (EDGE,), at, seed_codec, midway_codec),
        *task.infer(EDGE, at, task.num_steps),
        Compute(EDGE, model.decoder),
        Transfer(EDGE, (DEVICE,), "image", image_codec),
    )
    return resilient(Plan(steps, IMAGE), task, (EDGE,))


def eiug(model: DiffusionModel, prompt_codec: AnyCodec, seed_codec: AnyCodec, strength: float | None = None) -> Plan:
    """Edge inferencing, user-equipment generating: the edge denoises, the device decodes.

    device: prompt ==up==> edge: text encoder, prior, denoiser ==seed down==> device: decoder

    Args:
        model: whose parts run.
        prompt_codec: carries the prompt.
        seed_codec: carries the latent; up, too, when it is that of a picture.
        strength: of image-to-image.
    """
    task = Task.of(model, strength)
    steps = (
        *asked(task, (EDGE,), prompt_codec, seed_codec),
        *task.infer(EDGE, 0, task.num_steps),
        Transfer(EDGE, (DEVICE,), "latent", seed_codec),
        Compute(DEVICE, model.decoder),
    )
    return resilient(Plan(steps, IMAGE), task, (EDGE,))


def ciag(
    model: DiffusionModel,
    prompt_codec: AnyCodec,
    seed_codec: AnyCodec,
    midway_codec: AnyCodec,
    cut: int | None = None,
    strength: float | None = None,
) -> Plan:
    """Cooperative inferencing and generating: the edge begins, the device takes the last steps and decodes.

    device: prompt ==up==> edge: text encoder, first steps ==latent[cut] down==> device: last steps, decoder

    The device encodes the prompt itself, which is cheaper than receiving the condition. A `MatchedSeed` says how noisy
    the latent arrived, and the device resumes at the noise level that it really has; any other codec hands over a
    latent that is taken as the one that was sent.

    Args:
        model: whose parts run.
        prompt_codec: carries the prompt.
        seed_codec: carries the latent of the picture up, and a finished latent down.
        midway_codec: carries a latent between two steps; a `MatchedSeed` is resumed at its noise level.
        cut: steps on the edge; all but one by default.
        strength: of image-to-image.
    """
    task = Task.of(model, strength)
    at = task.cut(cut, default=max(task.num_steps - 1, 0))
    steps = (
        *asked(task, (EDGE,), prompt_codec, seed_codec),
        *task.infer(EDGE, 0, at),
        *_finished(task, at, seed_codec, midway_codec),
        Compute(DEVICE, model.decoder),
    )
    return resilient(Plan(steps, IMAGE), task, (EDGE,))


def _finished(task: Task, cut: int, seed_codec: AnyCodec, midway_codec: AnyCodec) -> tuple[Step, ...]:
    """The latent after some steps comes down and the device takes the other ones."""
    if cut == task.num_steps:
        return (Transfer(EDGE, (DEVICE,), "latent", seed_codec),)
    latent = task.latent(cut)
    if not isinstance(midway_codec, MatchedSeed):
        return Transfer(EDGE, (DEVICE,), latent, midway_codec), *task.infer(DEVICE, cut, task.num_steps)
    handed = f"handed[{cut}]"
    return (
        Compute(EDGE, Renamed(HandDown(task.model.latent), {"latent": latent}, {"handed": handed})),
        Transfer(EDGE, (DEVICE,), handed, midway_codec),
        Compute(DEVICE, task.model.text_encoder),
        Compute(DEVICE, Renamed(HandOver(task.denoiser[cut:]), {"handed": handed})),
    )


def esuc(
    model: DiffusionModel,
    prompt_codec: AnyCodec,
    seed_codec: AnyCodec,
    sketch_codec: AnyCodec,
    num_candidates: int | None = None,
    strength: float | None = None,
) -> Plan:
    """Edge sketching, user-equipment completing: the edge sends a sketch of its best picture, the device completes it.

    device: prompt ==up==> edge: candidates, the best of them, its sketch ==sketch down==> device: image-to-image

    What the device makes is compared with the picture that the edge chose.

    Args:
        model: whose parts run.
        prompt_codec: carries the prompt.
        seed_codec: carries the latent of the picture up.
        sketch_codec: carries the sketch: an `EdgeMap` that of the outlines, any other one a small picture.
        num_candidates: pictures that the edge draws to choose from, at its own cost; the first is what it would make
            without a choice. As many as pay by default, see `recommended`.
        strength: of image-to-image.
    """
    task = Task.of(model, strength)
    steps = (
        *asked(task, (EDGE,), prompt_codec, seed_codec),
        *best_drawn(task, EDGE, recommended(model) if num_candidates is None else num_candidates),
        Compute(EDGE, sketcher(model, sketch_codec)),
        Transfer(EDGE, (DEVICE,), "sketch", sketch_codec),
        *completed(task, sketch_codec),
    )
    return resilient(Plan(steps, IMAGE, reference=(EDGE, "image")), task, (EDGE,))
