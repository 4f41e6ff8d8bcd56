"""How long a generation takes on this machine, known before it runs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final, cast, final

import torch

from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Bits, Place, Spec
from gainnet.generation.cell import downlink
from gainnet.generation.chunks import MOST_ITEMS
from gainnet.generation.planning import Planned
from gainnet.models.counting import opened_of
from gainnet.models.diffusion import DiffusionModel, TextEncoder, prior
from gainnet.protocols import Compute, Plan, Transfer
from gainnet.radio import Ideal

S_PER_BIT: Final = 1.3e-5
"""Of processor time for a bit that is encoded, sent and decoded in codewords; measured on one core, 48 kB at -10 dB."""
S_PER_PIXEL: Final = 2.5e-5
"""Of processor time for a pixel of a picture that is judged and coded by its opponents; measured at 128 x 128."""


MEASURED: Final = 64**2
"""Entries of a latent, per channel, up to which any model is measured at the size asked for: it takes a moment."""


@final
@dataclass(frozen=True)
class Pace:
    """Seconds that parts of a model take on this machine for one picture.

    Args:
        step_s: one step of the denoiser, all branches of guidance.
        decoder_s: from latent to picture.
    """

    step_s: float
    decoder_s: float

    @staticmethod
    @torch.inference_mode()
    def of(model: DiffusionModel) -> Pace:
        """Measured with one step and one decoding, each again where the first call may have opened weights.

        A large picture is measured at the model's own size, or at `MEASURED`, and scaled by operations.
        """
        small, random, tensors = _measured(model), Random.of([0]), {"prompt": text_to_tensor(["a red star"])}
        for part in (small.text_encoder, small.prior):
            tensors |= part(tensors, random)
        one = small.denoiser[:1]
        step_s = _second_s(lambda: one(tensors, random))
        # Its latents may have the memory of a sampler beside them, which a decoder has no use for.
        latent = tensors["latent"][:, : small.latent.shape[0]]
        decoder_s = _second_s(lambda: small.decoder({"latent": latent}, random))
        if small is model:
            return Pace(step_s, decoder_s)
        more = model.denoiser[:1].flops / one.flops, model.decoder.flops / small.decoder.flops
        return Pace(step_s * more[0], decoder_s * more[1])


def expected_wall_s(
    made: Planned, model: DiffusionModel, pace: Pace, given: Mapping[Place, Spec], num_items: int
) -> float:
    """Seconds that running a plan, judging its pictures and coding them by opponents takes on an idle machine.

    Args:
        made: the plan, in its network.
        model: whose parts run.
        pace: of the model on this machine.
        given: shapes that are there at the start.
        num_items: pictures.

    Raises:
        PlanError: the plan does not fit the network.
    """
    item_s = plan_wall_s(made, model, pace, given)
    # The reference: some steps again, and its decoding.
    item_s += pace.step_s * (num_steps_of(made.plan, model) - _num_steps_once(made.plan, model))
    item_s += pace.decoder_s * sum(isinstance(x, Compute) and x.part.role == "decoder" for x in made.plan.steps)
    if not isinstance(downlink(made.network), Ideal) and "image" not in made.codecs:
        item_s += S_PER_PIXEL * math.prod(model.image.shape[1:])
    return num_items * item_s


def plan_wall_s(made: Planned, model: DiffusionModel, pace: Pace, given: Mapping[Place, Spec]) -> float:
    """Seconds that a plan alone takes for one picture on an idle machine; arguments and errors as `expected_wall_s`."""
    specs, item_s = made.plan.check(made.network, given), pace.step_s * _num_steps_once(made.plan, model)
    for step in made.plan.steps:
        match step:
            case Compute(_, part) if part.role == "decoder":
                # A search for the latent to send takes the decoder hundreds of times.
                item_s += pace.decoder_s * max(1, part.num_passes)
            case Transfer(source, targets, tensor, codec) if codec.emits is Bits:
                item_s += S_PER_BIT * codec.size(specs[source, tensor]).expected * len(targets)
    return item_s


def _num_steps_once(plan: Plan, model: DiffusionModel) -> float:
    passes = (x.part.num_passes for x in plan.steps if isinstance(x, Compute) and x.part.role == "denoiser")
    return sum(passes) / model.denoiser.num_branches


def num_steps_of(plan: Plan, model: DiffusionModel) -> float:
    """Steps of denoisers for a picture and for its reference, which takes some of them again.

    >>> from gainnet.models.loading import load_model
    >>> model = load_model("scenes")
    >>> num_steps_of(Plan((Compute("edge", model.denoiser[:3]),), ("edge", "latent")), model)
    3.0
    """
    num_steps, times = 0.0, 1
    for step in plan.steps:
        match step:
            case Compute(_, part) if part.role == "denoiser":
                num_steps += times * part.num_passes / model.denoiser.num_branches
            case Transfer(_, _, tensor, _) if tensor != "prompt":
                # Steps are remembered for the reference up to where the air has changed a latent.
                times = 2
    return num_steps


@contextmanager
def watched(plan: Plan, model: DiffusionModel, num_items: int, watch: Callable[[str], None]) -> Iterator[None]:
    """Calls `watch` with every step of a denoiser that has been taken meanwhile, and of how many at most.

    Args:
        plan: that runs.
        model: whose parts run; torch runs its denoiser, else `watch` is not called.
        num_items: pictures.
        watch: receives a line.
    """
    network, most = opened_of(model.denoiser.network), num_steps_of(plan, model) * math.ceil(num_items / MOST_ITEMS)
    if not isinstance(network, torch.nn.Module):
        yield
        return
    taken = count(1)
    hook = network.register_forward_hook(lambda *call: watch(f"denoiser: step {next(taken)} of {most:.0f}"))
    try:
        yield
    finally:
        hook.remove()


def spelled_s(seconds: float) -> str:
    """A duration in words, for people.

    >>> spelled_s(80.0), spelled_s(1500.0), spelled_s(9000.0)
    ('80 s', '25 minutes', '2.5 hours')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:,.1f} hours"


def _measured(model: DiffusionModel) -> DiffusionModel:
    """The model for pictures that take a moment, where torch is to make larger ones with it."""
    height, width = model.family.sides(opened_of(model.denoiser.network).config)
    # A few entries would show what a call costs, and not its operations.
    times = max(1, math.isqrt(MEASURED // (height * width)))
    sides = times * height, times * width
    # A graph of another runtime takes pictures of the size that it was made for alone.
    if math.prod(model.latent.shape[1:]) <= math.prod(sides) or model.runtime != "torch":
        return model
    latent = replace(model.latent, shape=(model.latent.shape[0], *sides))
    scale = model.image.shape[1] // model.latent.shape[1]
    image = replace(model.image, shape=(model.image.shape[0], *(scale * side for side in sides)))
    # Not taken apart anew, which would set the attention of networks that both share.
    return replace(
        model,
        text_encoder=replace(cast("TextEncoder", model.text_encoder), image=image),
        prior=prior(latent, 1.0, str(model.pipeline.device)),
        denoiser=replace(model.denoiser, latent=latent),
        decoder=replace(model.decoder, latent=latent, image=image),
    )


def _second_s(run: Any) -> float:
    """Seconds of a call on an idle machine, of a second one where the first was short: it may have opened files."""
    for _ in range(2):
        begin_s = time.process_time()
        run()
        # Not of the clock, which goes on while other programs have the processor.
        last_s = (time.process_time() - begin_s) / torch.get_num_threads()
        if last_s > 5.0:
            break
    return last_s
