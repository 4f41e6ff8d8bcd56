"""Which protocol for one case: every one is priced, made for real on a few captions, and judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import GainnetError
from gainnet.core.randomness import Random
from gainnet.core.units import psnr_db_of_mse
from gainnet.generation.assemble import assemble, build_network
from gainnet.generation.config import GenerationConfig
from gainnet.generation.describe import TWO, takes_edges
from gainnet.generation.generate import estimate, inputs, open_model
from gainnet.generation.memory import Memory
from gainnet.generation.quality import mean_fidelity, ssim
from gainnet.generation.tables import tabulated
from gainnet.models.diffusion import DiffusionModel
from gainnet.network import Network
from gainnet.protocols import PROTOCOLS, channel_free, execute, pricing
from gainnet.protocols.plan import Plan
from gainnet.protocols.task import IMAGE, Task

CAPTIONS = (
    "a red star above a blue house at sunset",
    "a green heart",
    "a large yellow tree at night",
    "a blue circle left of a red square",
    "a small purple moon",
    "a yellow house in fog",
    "a green triangle above an orange heart",
    "a large red circle at sunset",
)
ENOUGH = 0.05
"""Prompt fidelity below the best that is given up for less energy on the device."""
SAME_DB = 3.0
"""PSNR below the best that is, where captions cannot be judged."""


@final
@dataclass(frozen=True)
class Trial:
    """A protocol in one case.

    Args:
        protocol: its name.
        reason: why it cannot be used; empty when it can.
        psnr_db: against one machine that generates alone from the same random seeds; `None` when the same.
        ssim: likewise.
        prompt_fidelity: share of named attributes that are there; `None` where they cannot be judged.
        duration_p50_s: critical path, median.
        duration_p95_s: its 95th percentile.
        device_energy_j: of one picture.
        device_flops: of one picture.
        device_memory_bytes: parameters on the device.
        num_bits_up: of one picture.
        num_bits_down: of one picture.
        num_bits_backhaul: of one picture.
        num_channel_uses_up: of one picture.
        num_channel_uses_down: of one picture.
    """

    protocol: str
    reason: str = ""
    psnr_db: float | None = None
    ssim: float | None = None
    prompt_fidelity: float | None = None
    duration_p50_s: float | None = None
    duration_p95_s: float | None = None
    device_energy_j: float | None = None
    device_flops: float | None = None
    device_memory_bytes: float | None = None
    num_bits_up: float | None = None
    num_bits_down: float | None = None
    num_bits_backhaul: float | None = None
    num_channel_uses_up: float | None = None
    num_channel_uses_down: float | None = None


def attempt(config: GenerationConfig, model: DiffusionModel, memory: Memory) -> Trial:
    """A protocol, priced for one picture and made for all prompts.

    Args:
        config: the case.
        model: whose parts run.
        memory: of what that model made for other protocols.

    Raises:
        GainnetError: it does not fit the case.
    """
    cost = priced(config, model)
    found = judged(config, model, memory, tabulated(build_network(config)))
    return replace(cost, psnr_db=found["psnr_db"], ssim=found["ssim"], prompt_fidelity=found["prompt_fidelity"])


def priced(config: GenerationConfig, model: DiffusionModel) -> Trial:
    """What a protocol costs for one picture; as for quality, nothing is said.

    Raises:
        GainnetError: it does not fit the case.
    """
    report = estimate(replace(config, prompts=config.prompts[:1]), model)
    return Trial(
        protocol=config.protocol,
        duration_p50_s=report.duration_p50_s,
        duration_p95_s=report.duration_p95_s,
        device_energy_j=report.device_energy_j,
        device_flops=report.device_flops,
        device_memory_bytes=report.device_memory_bytes,
        num_bits_up=report.num_bits_of("up"),
        num_bits_down=report.num_bits_of("down"),
        num_bits_backhaul=report.num_bits_of("backhaul"),
        num_channel_uses_up=report.num_channel_uses("up"),
        num_channel_uses_down=report.num_channel_uses("down"),
    )


def judged(
    config: GenerationConfig, model: DiffusionModel, memory: Memory, network: Network
) -> dict[str, float | None]:
    """Quality of the pictures of all prompts, made for real: psnr_db, ssim and prompt_fidelity of a `Trial`.

    Args:
        config: the case.
        model: whose parts run.
        memory: of what that model made for other protocols.
        network: of the case.

    Raises:
        GainnetError: the protocol does not fit the case.
    """
    plan, _ = assemble(config, model, network)
    given = inputs(config, model)
    random = Random.of([config.random_seed + item for item in range(len(config.prompts))])
    with torch.inference_mode():
        places, _ = execute(memory.over(plan), given, network, random, pricing(config.priced_as))
        whole = Plan(Task.of(model, config.picture_strength).whole(IMAGE[0]), IMAGE)
        reference = channel_free(memory.over(whole), given, random)[IMAGE]
        images = places[plan.result]
        return {
            "psnr_db": _psnr_db(images, reference),
            "ssim": float(ssim(images, reference).mean()),
            "prompt_fidelity": mean_fidelity(images, config.prompts),
        }


def advise(
    config: GenerationConfig,
    picture_deadline_s: float | None = None,
    model: DiffusionModel | None = None,
    watch: Callable[[str], None] = lambda label: None,
) -> tuple[Trial | None, tuple[Trial, ...]]:
    """The protocol that is recommended, and all of them, best first; those that cannot be used come last.

    Of those that fit memory and deadline, the ones count that are about as true to the prompt as the best (or to the
    picture, where prompts cannot be judged); of these, the one that takes least energy of the device wins.

    Args:
        config: the case; its protocol does not matter. Protocols with several edges get two unless it asks for more.
        picture_deadline_s: the picture has to be there with 95 % probability.
        model: an opened model.
        watch: told every protocol before it is tried.
    """
    # What is wrong with the case itself is said once, not of every protocol.
    build_network(config)
    opened = open_model(config) if model is None else model
    inputs(config, opened)
    memory, trials = Memory(), []
    for name, protocol in PROTOCOLS.items():
        watch(name)
        edges = max(config.num_edges, TWO) if takes_edges(protocol) else 1
        asked = replace(config, protocol=name, num_edges=edges, codec={}, num_channel_uses=None)
        trials.append(_tried(asked, opened, picture_deadline_s, memory))
    usable = [trial for trial in trials if not trial.reason]
    good = sorted(_about_the_best(usable), key=_energy_j)
    others = sorted((trial for trial in usable if trial not in good), key=_energy_j)
    ordered = (*good, *others, *(trial for trial in trials if trial.reason))
    return (good[0] if good else None), ordered


def reasons(best: Trial, trials: Sequence[Trial], picture_deadline_s: float | None, num_captions: int) -> list[str]:
    """Why the recommended one was taken, as sentences.

    Args:
        best: the recommended one.
        trials: all of them.
        picture_deadline_s: that was asked for.
        num_captions: on which they were tried.
    """
    usable = [trial for trial in trials if not trial.reason]
    excluded = [f"{trial.protocol} is out: {trial.reason}" for trial in trials if trial.reason]
    fidelity = f"prompt fidelity (at most {ENOUGH:g} less)"
    measure = fidelity if best.prompt_fidelity is not None else f"PSNR (at most {SAME_DB:g} dB less)"
    in_time = "" if picture_deadline_s is None else f" and are there within {picture_deadline_s:g} s in 95 % of cases"
    return [
        f"{len(usable)} of {len(trials)} protocols fit the memory{in_time}",
        f"{len(_about_the_best(usable))} are about as good as the best by {measure}, on {num_captions} captions",
        f"of these {best.protocol} takes least energy of the device: {_energy_j(best):.3g} J",
        *excluded,
    ]


def _tried(config: GenerationConfig, model: DiffusionModel, picture_deadline_s: float | None, memory: Memory) -> Trial:
    try:
        trial = attempt(config, model, memory)
    except GainnetError as error:
        return Trial(config.protocol, str(error))
    late = picture_deadline_s is not None and (trial.duration_p95_s or 0.0) > picture_deadline_s
    return replace(trial, reason=f"95 % take up to {trial.duration_p95_s:.3g} s") if late else trial


def _about_the_best(trials: Sequence[Trial]) -> list[Trial]:
    judged = [trial.prompt_fidelity for trial in trials if trial.prompt_fidelity is not None]
    if len(judged) == len(trials):
        return [trial for trial in trials if (trial.prompt_fidelity or 0.0) >= max(judged, default=0.0) - ENOUGH]
    top_db = max((_db(trial) for trial in trials if trial.psnr_db is not None), default=0.0)
    return [trial for trial in trials if _db(trial) >= top_db - SAME_DB]


def _db(trial: Trial) -> float:
    return float("inf") if trial.psnr_db is None else trial.psnr_db


def _energy_j(trial: Trial) -> float:
    return trial.device_energy_j or 0.0


def _psnr_db(images: Tensor, reference: Tensor) -> float | None:
    mse = (images - reference).double().square().mean()
    return None if float(mse) < 1e-10 else float(psnr_db_of_mse(mse))
