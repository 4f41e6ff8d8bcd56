"""One generation: run it or price it, and judge what arrived."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from html import escape
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
from gainnet.core.room import give_back, pieces
from gainnet.core.types import NodeId
from gainnet.generation.arguments import check_arguments, strength_of, texts_of
from gainnet.generation.baseline import Baseline, best_image_codec
from gainnet.generation.cell import Over, downlink
from gainnet.generation.chunks import in_chunks
from gainnet.generation.judging import judge_of
from gainnet.generation.memory import Memory
from gainnet.generation.original import Original, original_of
from gainnet.generation.planning import Planned, check_choices, inputs, make_plan, shapes_of, streams
from gainnet.generation.quality import Quality, psnr_db, quality
from gainnet.generation.sampling import Sampling, sampling_of
from gainnet.generation.sentences import quality_lines, spelled_psnr, unknown_lines
from gainnet.models.diffusion import Decoder, DiffusionModel
from gainnet.models.shipped import unknown_words
from gainnet.models.vocabulary import Unknown
from gainnet.network.network import Network
from gainnet.protocols import Eiug, Plan, Pricing, Protocol, channel_free, execute, pricing
from gainnet.protocols import estimate as estimate_plan
from gainnet.protocols.walk import Failure
from gainnet.radio import Air


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
        prompts: one per picture.
        random_seed: of the first picture.
        model: name of the model whose parts ran.
        runtime: what computed its networks, `torch` or `onnx`.
        protocol: who computed and who sent what.
        given: the codecs as they were given.
        codecs: that were used, as they were chosen, by what they carried.
        network: nodes and links.
        values: [num_items, 3, H, W], in [0, 1], as the device has them; those of a large batch lie in a file without a
            name in the folder for temporary files, which goes with them.
        references: [num_items, 3, H, W], the channel-free generation from the same random seeds.
        report: what it cost, all items together.
        quality: against the references.
        wall_s: measured time of the run on this machine, without what only serves the comparison.
        sampling: its sampler, and what became of the sampler's memory at the cuts.
        original: the picture that was changed (image-to-image); `None` for text-to-image.
    """

    prompts: tuple[str, ...]
    random_seed: int
    model: str
    runtime: str
    protocol: Protocol
    given: Codecs
    codecs: Mapping[Kind, AnyCodec]
    network: Network
    values: Tensor
    references: Tensor
    report: Report
    quality: Quality
    wall_s: float
    sampling: Sampling
    original: Original | None = None

    @cached_property
    def warnings(self) -> tuple[Unknown, ...]:
        """Words of the prompts that the model was not trained on; none where its folder does not say which it knows."""
        return unknown_words(self.model, self.prompts)

    # Searching and sending three image codecs takes longer than most generations, and not everybody compares.
    @cached_property
    def baseline(self) -> Baseline | None:
        """The best image codec over the same air, sent when it is first asked for.

        `None` over an ideal link, and for an image codec, which has no opponent but itself.
        """
        uses = self.report.num_channel_uses("down") / len(self.prompts) if "image" not in self.codecs else 0.0
        random = streams(self.random_seed, len(self.prompts))
        with torch.inference_mode():
            return best_image_codec(downlink(self.network), self.references, uses, self.quality.psnr_db, random)

    @cached_property
    def images(self) -> tuple[Picture, ...]:
        """One picture per prompt."""
        pairs = zip(self.prompts, pieces(self.values, self.references, num_items=1), strict=True)
        return tuple(Picture(prompt, one[0], psnr_db(one[0], other[0])) for prompt, (one, other) in pairs)

    def __repr__(self) -> str:
        report, number = self.report, len(self.prompts)
        words, judged = [asdict(each) for each in self.warnings], asdict(self.quality)
        original = None if self.original is None else {"psnr_db": self.original.psnr_db}
        return (
            f"Generation of {number} picture{'s' * (number > 1)} by {self.protocol!r}\n"
            + "".join(f"  {line}\n" for line in (*unknown_lines(self.model, words), *quality_lines(judged, original)))
            + f"  cost: {report.num_channel_uses('up'):,.0f} channel uses up, "
            f"{report.num_channel_uses('down'):,.0f} down, "
            f"{report.duration_s:.3g} s, {report.energy_j:.3g} J, priced as {report.priced_as}"
        )

    def _repr_html_(self) -> str:
        pictures = "".join(embed_picture(image.prompt, image.png()) for image in self.images)
        # Warnings repeat words of the prompt, which may be markup.
        return f"{pictures}<pre>{escape(repr(self))}</pre>"


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
    memory: Memory | None = None,
    decoder: Decoder | None = None,
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
        watch: called with the label of each step before it runs, and with how many pictures of many it has made.
        memory: of denoisers that have run before, as for an earlier generation from the same seed; its own when `None`.
        decoder: tuned for what arrives, in the place of the model's own, by which the reference is made all the same.

    Raises:
        GainnetError: model, protocol, codecs and air do not fit each other; one line says how to mend it.

    >>> from gainnet.models.loading import load_model
    >>> result = generate("a yellow star", load_model(num_steps=2), air=Air(snr_db=math.inf))
    >>> result.quality.exact, result.images[0]
    (True, Picture('a yellow star', 128 x 128, exact))
    """
    check_arguments(num_channel_uses, strength, deadline_s, failures, random_seed)
    texts, strength = texts_of(prompts), strength_of(picture, strength)
    check_choices(air, protocol, codecs, num_channel_uses, failures)
    made, free, plan = _plans(
        lambda x: make_plan(air, protocol, x, texts, codecs, num_channel_uses, strength, deadline_s),
        model, decoder, memory or Memory(), watch)  # fmt: skip
    given, random, begin_s = inputs(texts, picture), streams(random_seed, len(texts)), time.perf_counter()
    with torch.inference_mode():
        places, report = execute(plan, given, made.network, random, priced_as, _deaths(failures, plan), watch)
        wall_s, images = time.perf_counter() - begin_s, places[plan.result]
        references = channel_free(free, given, random)[free.reference or free.result]
        return Generation(
            texts, random_seed, model.name, model.runtime, protocol, codecs, made.codecs, made.network, images,
            references, report, quality(images, references, texts, judge_of(model)), wall_s,
            _sampling(made, model, texts, strength), original_of(picture, model, images))  # fmt: skip


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
    """Expected cost of `generate`, without running anything.

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
    texts = texts_of(prompts)
    check_arguments(num_channel_uses, strength, deadline_s)
    made = make_plan(air, protocol, model, texts, codecs, num_channel_uses, strength, deadline_s)
    given = shapes_of(texts, model, strength)
    return estimate_plan(made.plan, given, made.network, priced_as, num_items=len(texts))


def _plans(
    planned: Callable[[DiffusionModel], Planned],
    model: DiffusionModel,
    decoder: Decoder | None,
    memory: Memory,
    watch: Callable[[str], None],
) -> tuple[Planned, Plan, Plan]:
    """The generation; the plan of its reference, with the model's own decoder; its plan, with the one that is given."""
    own = planned(model)
    made = own if decoder is None else planned(replace(model, decoder=decoder))
    # Both take the same steps of the sampler.
    free, plan = (memory.over(in_chunks(each.plan, watch)) for each in (own, made))
    return made, free, plan


def _sampling(made: Planned, model: DiffusionModel, texts: Sequence[str], strength: float | None) -> Sampling:
    specs = made.plan.check(made.network, shapes_of(texts, model, strength))
    return sampling_of(model, made.plan, specs, strength)


def png(image: Tensor) -> bytes:
    """A picture [3, H, W] in [0, 1] as a PNG file."""
    # Rounded, since a cast would cut off and make every picture darker.
    values = (image.clamp(0.0, 1.0) * 255.0).round().to("cpu").permute(1, 2, 0).numpy().astype(np.uint8)
    give_back(image)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def _deaths(failures: Sequence[tuple[str, int]], plan: Plan) -> list[Failure]:
    """The failures as nodes die; raises `ConfigError` when all come after the end."""
    # Later deaths are counted over the fallback, too.
    first = min((step for _, step in failures), default=0)
    if first > len(plan.steps):
        raise ConfigError(f"fail: step {first} is after the end; the plan has {len(plan.steps)} steps")
    return [(NodeId(node), step) for node, step in failures]
