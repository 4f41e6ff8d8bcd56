"""One generation: run it or price it, and judge what arrived."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gainnet.codecs import AnyCodec, Codecs, Kind
from gainnet.core.errors import ConfigError
from gainnet.core.files import write_whole
from gainnet.core.page import embed_picture
from gainnet.core.report import Report
from gainnet.core.types import NodeId
from gainnet.generation.baseline import Baseline, best_image_codec
from gainnet.generation.cell import Over, downlink
from gainnet.generation.planning import Job, planned
from gainnet.generation.quality import Quality, psnr_db, quality
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.renamed import memoise
from gainnet.network.network import Network
from gainnet.protocols import Compute, Eiug, Plan, Pricing, Protocol, channel_free, execute, pricing
from gainnet.protocols import estimate as estimate_plan
from gainnet.radio import Air, Ideal


@final
@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as the device has it.

    Args:
        prompt: that it was made for.
        values: [3, H, W], in [0, 1].
        psnr_db: against the channel-free picture from the same random seed, dB; `None` when exact.
    """

    prompt: str
    values: Tensor
    psnr_db: float | None

    def png(self) -> bytes:
        """A PNG file."""
        return png(self.values)

    def save(self, path: Path | str) -> None:
        """Writes a PNG file; raises `ConfigError` when it cannot be written."""
        write_whole(Path(path), self.png())

    def __repr__(self) -> str:
        _, height, width = self.values.shape
        return f"Picture({self.prompt!r}, {width} x {height}, {spelled_psnr(self.psnr_db)})"

    def _repr_png_(self) -> bytes:
        return self.png()


@final
@dataclass(frozen=True, eq=False)
class Generation:
    """Outcome of a generation.

    Args:
        job: what it was made with.
        network: nodes and links.
        codecs: that were used, as they were chosen, by what they carried.
        values: [num_items, 3, H, W], in [0, 1], as the device has them.
        references: [num_items, 3, H, W], the channel-free generation from the same random seeds.
        report: what it cost, all items together.
        quality: against the references.
        baseline: the best image codec over the same air; `None` where there is nothing to compare.
        wall_s: measured time of the run on this machine.
    """

    job: Job
    network: Network
    codecs: Mapping[Kind, AnyCodec]
    values: Tensor
    references: Tensor
    report: Report
    quality: Quality
    baseline: Baseline | None
    wall_s: float

    @property
    def images(self) -> tuple[Picture, ...]:
        """One picture per prompt."""
        triples = zip(self.job.prompts, self.values, self.references, strict=True)
        return tuple(Picture(prompt, image, psnr_db(image, reference)) for prompt, image, reference in triples)

    def __repr__(self) -> str:
        report, number = self.report, len(self.job.prompts)
        return (
            f"Generation of {number} picture{'s' * (number > 1)} by {self.job.protocol!r}\n"
            f"  quality: {spelled_psnr(self.quality.psnr_db)}, SSIM {self.quality.ssim:.3f}\n"
            f"  cost: {report.num_channel_uses('up'):g} channel uses up, {report.num_channel_uses('down'):g} down, "
            f"{report.duration_s:.3g} s, {report.energy_j:.3g} J, priced as {report.priced_as}"
        )

    def _repr_html_(self) -> str:
        pictures = "".join(embed_picture(image.prompt, image.png()) for image in self.images)
        return f"{pictures}<pre>{self!r}</pre>"


def generate(
    prompts: str | Sequence[str],
    model: DiffusionModel,
    *,
    protocol: Protocol = Eiug(),  # noqa: B008
    codecs: Codecs = Codecs(),  # noqa: B008
    air: Over = Air(),  # noqa: B008
    num_channel_uses: int | None = None,
    picture: Tensor | None = None,
    strength: float | None = None,
    deadline_s: float = math.inf,
    failures: Sequence[tuple[str, int]] = (),
    priced_as: Pricing = pricing("sd15"),  # noqa: B008
    random_seed: int = 0,
    watch: Callable[[str], None] = lambda label: None,
) -> Generation:
    """Pictures that edge and device make together over the air, with what it cost and how good they are.

    Args:
        prompts: one text, or several for a batch; each at most 2,048 bytes of UTF-8.
        model: whose parts run.
        protocol: who computes and who sends what.
        codecs: what carries prompt, seed, latent, sketch and image; those that are left out are chosen to suit.
        air: radio conditions between one edge and a phone; or a `Cell`, or a whole network.
        num_channel_uses: complex channel uses per picture of the content; the codecs' own choice when `None`.
        picture: [3, H, W] in [0, 1], the device's, to be changed (image-to-image); text-to-image when `None`.
        strength: share of the steps that change that picture, above 0 to 1; 0.6 when `None`.
        deadline_s: seconds after which a transfer is given up and what is missing is concealed.
        failures: (edge, index of the step before which it dies).
        priced_as: model whose FLOPs and bytes are priced; Stable Diffusion 1.5 by default.
        random_seed: of the first picture; picture k has `random_seed + k`.
        watch: called with the label of each step before it runs.

    Raises:
        GainnetError: model, protocol, codecs and air do not fit each other; one line says how to mend it.

    >>> from gainnet.models.loading import load_model
    >>> result = generate("a red star", load_model(num_steps=2), air=Air(snr_db=math.inf))
    >>> result.quality.exact, result.images[0]
    (True, Picture('a red star', 128 x 128, exact))
    """
    texts = (prompts,) if isinstance(prompts, str) else tuple(prompts)
    return run(
        Job(
            texts, model, protocol, codecs, air, num_channel_uses, picture, strength, deadline_s, tuple(failures),
            priced_as, random_seed,
        ),
        watch,
    )  # fmt: skip


def run(job: Job, watch: Callable[[str], None] = lambda label: None) -> Generation:
    """As `generate`, of a job."""
    if job.strength is not None and job.picture is None:
        raise ConfigError("strength: there is no picture to change; give one or leave it out")
    made = planned(job)
    plan, network, given, random = remembering(made.plan), made.network, job.inputs(), job.random
    _check_failures(job, network, plan)
    begin_s = time.perf_counter()
    with torch.inference_mode():
        failures = [(NodeId(node), step) for node, step in job.failures]
        places, report = execute(plan, given, network, random, job.priced_as, failures, watch)
        wall_s = time.perf_counter() - begin_s
        references = channel_free(plan, given, random)[plan.reference or plan.result]
        images = places[plan.result]
        judged = quality(images, references, job.prompts)
        # An image codec has no opponent but itself, and over an ideal link all are alike.
        uses = 0.0 if "image" in made.codecs else report.num_channel_uses("down") / len(job.prompts)
        is_compared = uses > 0 and not isinstance(downlink(network), Ideal)
        baseline = best_image_codec(network, references, uses, judged.psnr_db, random) if is_compared else None
    return Generation(job, network, made.codecs, images, references, report, judged, baseline, wall_s)


def estimate(
    protocol: Protocol,
    model: DiffusionModel,
    *,
    prompts: str | Sequence[str] = "a red star above a blue house at sunset",
    codecs: Codecs = Codecs(),  # noqa: B008
    air: Over = Air(),  # noqa: B008
    num_channel_uses: int | None = None,
    strength: float | None = None,
    deadline_s: float = math.inf,
    priced_as: Pricing = pricing("sd15"),  # noqa: B008
) -> Report:
    """What `generate` would cost in expectation, without running anything.

    Args:
        protocol: who computes and who sends what.
        model: whose parts would run.
        prompts: texts; only their number and the longest one's length in bytes matter.
        codecs: as in `generate`.
        air: as in `generate`.
        num_channel_uses: as in `generate`.
        strength: of image-to-image, above 0 to 1; text-to-image when `None`.
        deadline_s: as in `generate`.
        priced_as: as in `generate`.

    Raises:
        GainnetError: as `generate`.

    >>> from gainnet.models.loading import load_model
    >>> estimate(Eiug(), load_model(), air=Air(snr_db=5.0)).num_channel_uses("down")
    512.0
    """
    texts = (prompts,) if isinstance(prompts, str) else tuple(prompts)
    return price(
        Job(
            texts, model, protocol, codecs, air, num_channel_uses, None, strength, deadline_s, priced_as=priced_as,
        )
    )  # fmt: skip


def price(job: Job) -> Report:
    """As `estimate`, of a job."""
    made = planned(job)
    return estimate_plan(made.plan, job.input_specs(), made.network, job.priced_as, num_items=len(job.prompts))


def remembering(plan: Plan) -> Plan:
    """The plan with parts that remember their last call, so that a reference is not computed twice.

    >>> remembering(Plan((), ("device", "image"))).steps
    ()
    """
    steps = (replace(s, part=memoise(s.part)) if isinstance(s, Compute) else s for s in plan.steps)
    return replace(plan, steps=tuple(steps))


def png(image: Tensor) -> bytes:
    """A picture [3, H, W] in [0, 1] as a PNG file."""
    values = (image.clamp(0.0, 1.0) * 255.0).round().to("cpu").permute(1, 2, 0).numpy().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def spelled_psnr(psnr_db: float | None) -> str:
    """A PSNR in dB for people.

    >>> spelled_psnr(30.0), spelled_psnr(None)
    ('PSNR 30.0 dB', 'exact')
    """
    return "exact" if psnr_db is None else f"PSNR {psnr_db:.1f} dB"


def _check_failures(job: Job, network: Network, plan: Plan) -> None:
    for node, _ in job.failures:
        if node not in network.edges:
            raise ConfigError(f"fail: {node!r} is no edge of the network; choose one of {', '.join(network.edges)}")
    # Later deaths are counted over the fallback, too.
    first = min((step for _, step in job.failures), default=0)
    if first > len(plan.steps):
        raise ConfigError(f"fail: step {first} is after the end; the plan has {len(plan.steps)} steps")
