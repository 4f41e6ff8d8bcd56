"""One generation: run it or price it, compare it, keep it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.plugins import find, guarded
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.core.text import text_to_tensor
from gainnet.core.types import NodeId, Place, Spec
from gainnet.generation.air import downlink, heard
from gainnet.generation.assemble import open_plan
from gainnet.generation.baseline import Baseline, best_image_codec
from gainnet.generation.config import IDEAL, GenerationConfig
from gainnet.generation.picture import open_picture
from gainnet.generation.quality import Quality, quality
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.models.renamed import remembered
from gainnet.network.network import Network
from gainnet.protocols import channel_free, execute, pricing
from gainnet.protocols import estimate as estimate_plan
from gainnet.protocols.plan import Compute, Plan
from gainnet.protocols.task import PICTURE, PROMPT


@final
@dataclass(frozen=True)
class Generation:
    """What came out of a generation.

    Args:
        config: what was asked.
        codecs: which codec carried what, by name.
        images: [num_items, 3, H, W], in [0, 1], as the device has them.
        references: [num_items, 3, H, W], the channel-free generation from the same random seeds.
        report: what it cost, all items together.
        quality: against the references.
        baseline: the best image codec over the same air; `None` where there is nothing to compare.
        wall_s: measured time of the run on this machine.
        fading: name of the fading that the content met.
        snr_db: mean SNR that the content met, of a network file or a trace where there is one.
        num_edges: edges of the network.
    """

    config: GenerationConfig
    codecs: Mapping[str, str]
    images: Tensor
    references: Tensor
    report: Report
    quality: Quality
    baseline: Baseline | None
    wall_s: float
    fading: str
    snr_db: float
    num_edges: int


def open_model(config: GenerationConfig) -> DiffusionModel:
    """The model that a configuration names: shipped, a folder, a hub id, or what `module:function` returns."""
    if ":" in config.model:
        return _plugged_model(config)
    return load_model(config.model, config.num_steps, config.guidance_scale, config.torch_device, config.online)


def _plugged_model(config: GenerationConfig) -> DiffusionModel:
    if config.num_steps is not None or config.guidance_scale is not None:
        raise ConfigError(f"num_steps, guidance_scale: {config.model} decides them itself; leave them out")
    built = guarded("model", find("model", config.model, {}))
    if not isinstance(built, DiffusionModel):
        raise ConfigError(f"model: {config.model} returned a {type(built).__name__}, not a DiffusionModel")
    return built


def generate(
    config: GenerationConfig, model: DiffusionModel | None = None, watch: Callable[[str], None] = lambda label: None
) -> Generation:
    """Pictures that edge and device made together, with what it cost and how good they are.

    Args:
        config: what is asked.
        model: an opened model, to generate many times; opened here when `None`.
        watch: called with the label of each step before it runs.

    Raises:
        GainnetError: the configuration, the model or the plan does not fit; one line says how to mend it.
    """
    config = dealt(config)
    opened = open_model(config) if model is None else model
    network, plan, codecs = open_plan(config, opened)
    _check_failures(config, network, plan)
    plan, given = remembering(plan), inputs(config, opened)
    random = Random.of([config.random_seed + item for item in range(len(config.prompts))])
    begin_s = time.perf_counter()
    with torch.inference_mode():
        failures = [(NodeId(node), step) for node, step in config.failures]
        places, report = execute(plan, given, network, random, pricing(config.priced_as), failures, watch)
        wall_s = time.perf_counter() - begin_s
        references = channel_free(plan, given, random)[plan.reference or plan.result]
        images = places[plan.result]
        judged = quality(images, references, config.prompts)
        compared = config.fading != IDEAL and "image" not in codecs
        baseline = _baseline(config, network, references, random, report, judged) if compared else None
    air = heard(config, downlink(network))
    return Generation(config, codecs, images, references, report, judged, baseline, wall_s, *air, len(network.edges))


def estimate(config: GenerationConfig, model: DiffusionModel | None = None) -> Report:
    """What `generate` would cost, without running anything.

    Raises:
        GainnetError: as `generate`.
    """
    config = dealt(config)
    opened = open_model(config) if model is None else model
    network, plan, _ = open_plan(config, opened)
    num_bytes = max(len(prompt.encode()) for prompt in config.prompts)
    given = {PROMPT: Spec((num_bytes,))} | ({PICTURE: opened.image} if config.image is not None else {})
    return estimate_plan(plan, given, network, pricing(config.priced_as), num_items=len(config.prompts))


def dealt(config: GenerationConfig) -> GenerationConfig:
    """The configuration with a prompt for every device of the cell: item k is device k's, prompts repeat in turn.

    >>> dealt(GenerationConfig(("a red star", "a blue house"), num_devices=3)).prompts
    ('a red star', 'a blue house', 'a red star')
    """
    num_items = max(config.num_devices, len(config.prompts))
    return replace(config, prompts=tuple(config.prompts[k % len(config.prompts)] for k in range(num_items)))


def inputs(config: GenerationConfig, model: DiffusionModel) -> dict[Place, Tensor]:
    """What the device has: prompts, and for image-to-image the picture, once per prompt."""
    given = {PROMPT: text_to_tensor(config.prompts)}
    if config.image is None:
        return given
    picture = open_picture(Path(config.image), model.image)
    return given | {PICTURE: picture.expand(len(config.prompts), *picture.shape)}


def _check_failures(config: GenerationConfig, network: Network, plan: Plan) -> None:
    for node, _ in config.failures:
        if node not in network.edges:
            raise ConfigError(f"fail: {node!r} is no edge of the network; choose one of {', '.join(network.edges)}")
    # Later deaths are counted over the fallback, too.
    first = min((step for _, step in config.failures), default=0)
    if first > len(plan.steps):
        raise ConfigError(f"fail: step {first} is after the end; the plan has {len(plan.steps)} steps")


def remembering(plan: Plan) -> Plan:
    """The plan with parts that remember their last call, so that a reference is not computed twice.

    >>> remembering(Plan((), PROMPT)).steps
    ()
    """
    steps = (replace(s, part=remembered(s.part)) if isinstance(s, Compute) else s for s in plan.steps)
    return replace(plan, steps=tuple(steps))


def _baseline(
    config: GenerationConfig, network: Network, references: Tensor, random: Random, report: Report, judged: Quality
) -> Baseline | None:
    uses = report.num_channel_uses("down") / len(config.prompts)
    if uses == 0:
        return None
    return best_image_codec(network, references, uses, judged.psnr_db, random)
