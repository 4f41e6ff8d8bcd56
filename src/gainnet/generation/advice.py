"""Which protocol suits one case: every one is priced, run on a few captions, and judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, GainnetError
from gainnet.core.report import Report
from gainnet.core.units import psnr_db_of_mse
from gainnet.generation.arguments import check_arguments, strength_of, texts_of
from gainnet.generation.cell import Cell, Over, use_tables
from gainnet.generation.decision import Goal, Wanted
from gainnet.generation.duration import Pace, plan_wall_s
from gainnet.generation.generate import estimate
from gainnet.generation.judging import judge_of
from gainnet.generation.memory import Memory
from gainnet.generation.planning import Planned, inputs, make_plan, shapes_of, streams
from gainnet.generation.quality import mean_fidelity, ssim
from gainnet.models.diffusion import DiffusionModel
from gainnet.network import Network
from gainnet.protocols import PROTOCOLS, Plan, Pricing, Protocol, channel_free, execute, pricing
from gainnet.protocols.task import IMAGE, Task
from gainnet.radio import Air

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
SEVERAL_EDGES = 2
"""Edges of the protocols that take several, where the cell does not have more."""
_SPENT: Final[Mapping[Goal, str]] = {
    "energy": "energy of the device: {:.3g} J", "uses": "of the channel: {:,.0f} uses", "latency": "time: {:.3g} s"
}  # fmt: skip
"""The cost of each goal in words."""


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

    def spent(self, goal: Goal) -> float:
        """The cost that a goal makes small: time in s, energy of the device in J, or channel uses up and down."""
        uses = (self.num_channel_uses_up or 0.0) + (self.num_channel_uses_down or 0.0)
        of_goal = {"latency": self.duration_p50_s, "energy": self.device_energy_j, "uses": uses}
        return of_goal[goal] or 0.0


def cost(name: str, report: Report) -> Trial:
    """Cost of a protocol; the quality is left open.

    Args:
        name: of the protocol.
        report: of one picture.
    """
    return Trial(
        protocol=name,
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


def judge(
    made: Planned,
    model: DiffusionModel,
    prompts: Sequence[str],
    random_seed: int,
    memory: Memory,
    picture: Tensor | None = None,
    strength: float | None = None,
) -> dict[str, float | None]:
    """Quality of the pictures of all prompts, made for real: psnr_db, ssim and prompt_fidelity of a `Trial`.

    Args:
        made: the plan, over links at table speed.
        model: whose parts run.
        prompts: one per picture.
        random_seed: of the first picture.
        memory: of what the model made for other protocols.
        picture: [3, H, W] in [0, 1], to be changed.
        strength: of that change; `None` without a picture.
    """
    given, random = inputs(prompts, picture), streams(random_seed, len(prompts))
    with torch.inference_mode():
        images = execute(memory.over(made.plan), given, made.network, random)[0][made.plan.result]
        # Protocols that sketch have another reference of their own; advice compares all with the same pictures.
        alone = Plan(Task.of(model, strength).whole(IMAGE[0]), IMAGE)
        reference = channel_free(memory.over(alone), given, random)[IMAGE]
        return {
            "psnr_db": _psnr_db(images, reference),
            "ssim": float(ssim(images, reference).mean()),
            "prompt_fidelity": judge_of(model, mean_fidelity)(images, prompts),
        }


def advise(
    model: DiffusionModel,
    *,
    air: Over = Air(),  # noqa: B008
    captions: Sequence[str] = CAPTIONS,
    picture: Tensor | None = None,
    strength: float | None = None,
    deadline_s: float | None = None,
    priced_as: Pricing = pricing("sd15"),  # noqa: B008
    random_seed: int = 0,
    watch: Callable[[str], None] = lambda label: None,
    wanted: Wanted = Wanted("energy"),  # noqa: B008
    agree: Callable[[float], None] = lambda seconds: None,
) -> tuple[Trial | None, tuple[Trial, ...]]:
    """The protocol that is recommended, and all of them, best first; those that cannot be used come last.

    Of those that fit memory and bounds, the ones count that are about as true to the prompt as the best (or to the
    picture, where prompts cannot be judged); of these, the one that spends least of the goal wins.

    Args:
        model: whose parts run.
        air: radio conditions, or a cell; protocols with several edges get two unless the cell has more.
        captions: prompts that all protocols are tried on.
        picture: [3, H, W] in [0, 1], the device's, to be changed; text-to-image when `None`.
        strength: share of the steps that change that picture, above 0 to 1; 0.6 when `None`.
        deadline_s: the picture has to be there by then with 95 % probability; no limit when `None`.
        priced_as: model whose FLOPs and bytes are priced.
        random_seed: of the first picture.
        watch: called with the name of every protocol before it is tried.
        wanted: goal, and bounds on energy and PSNR; its bound on time is `deadline_s`.
        agree: called with the seconds that it takes at most on this machine, before anything is tried; may refuse.

    Raises:
        ConfigError: an argument is out of range, or the air is a whole network.
    """
    if isinstance(air, Network):
        raise ConfigError("air: protocols differ in their edges; give an air or a cell, whose number of edges can vary")
    captions = texts_of(captions)
    check_arguments(strength=strength, random_seed=random_seed)
    strength = strength_of(picture, strength)
    cell, memory, trials = air if isinstance(air, Cell) else Cell(air), Memory(), []
    agree(most_wall_s(model, captions, cell, Pace.of(model), strength))
    for name, kind in PROTOCOLS.items():
        watch(name)
        protocol = kind()
        own = _for_protocol(cell, kind)
        try:
            # Priced first, which is cheap and refuses what does not fit the memory of the device.
            report = estimate(protocol, model, prompts=captions[:1], air=own, strength=strength, priced_as=priced_as)
            made = make_plan(use_tables(own.network()), protocol, model, captions, strength=strength)
            found = judge(made, model, captions, random_seed, memory, picture, strength)
        except GainnetError as error:
            trials.append(Trial(name, str(error)))
            continue
        psnr_db, fidelity = found["psnr_db"], found["prompt_fidelity"]
        tried = replace(cost(name, report), psnr_db=psnr_db, ssim=found["ssim"], prompt_fidelity=fidelity)
        trials.append(replace(tried, reason=_broken(tried, wanted, deadline_s)))
    return _ordered(trials, wanted.minimise)


def most_wall_s(
    model: DiffusionModel, captions: Sequence[str], cell: Cell, pace: Pace, strength: float | None = None
) -> float:
    """Seconds that trying all protocols takes on an idle machine, less where they share steps; and their reference.

    Args:
        model: whose parts run.
        captions: that every protocol is tried on.
        cell: as of `advise`.
        pace: of the model on this machine.
        strength: of image-to-image, above 0 to 1; text-to-image when `None`.
    """
    item_s, given = pace.step_s * model.denoiser.num_steps + pace.decoder_s, shapes_of(captions, model, strength)
    for kind in PROTOCOLS.values():
        # A protocol that cannot be used with this air or model is not run.
        with suppress(GainnetError):
            made = make_plan(
                use_tables(_for_protocol(cell, kind).network()), kind(), model, captions, strength=strength
            )
            item_s += plan_wall_s(made, model, pace, given)
    return len(captions) * item_s


def _for_protocol(cell: Cell, kind: type[Protocol]) -> Cell:
    """The cell with as many edges as a protocol is tried with."""
    return replace(cell, num_edges=max(cell.num_edges, SEVERAL_EDGES) if kind.max_edges > 1 else 1)


def _ordered(trials: Sequence[Trial], goal: Goal) -> tuple[Trial | None, tuple[Trial, ...]]:
    """The best of trials, and all of them: those about as good as the best by cost, others by cost, unusable ones."""
    usable = [trial for trial in trials if not trial.reason]
    good = sorted(_about_the_best(usable), key=lambda trial: trial.spent(goal))
    others = sorted((trial for trial in usable if trial not in good), key=lambda trial: trial.spent(goal))
    return (good[0] if good else None), (*good, *others, *(trial for trial in trials if trial.reason))


def _broken(trial: Trial, wanted: Wanted, deadline_s: float | None) -> str:
    """The first bound that a protocol does not keep; empty where it keeps all."""
    if deadline_s is not None and (trial.duration_p95_s or 0.0) > deadline_s:
        return f"95 % take up to {trial.duration_p95_s:.3g} s"
    if (trial.device_energy_j or 0.0) > wanted.energy_j:
        return f"the device spends {trial.device_energy_j:.3g} J, not {wanted.energy_j:g} J"
    if _db(trial) < wanted.psnr_db:
        return f"its pictures have {trial.psnr_db:.1f} dB, not {wanted.psnr_db:g} dB"
    return ""


def reasons(
    best: Trial, trials: Sequence[Trial], deadline_s: float | None, num_captions: int, goal: Goal = "energy"
) -> list[str]:
    """Why the recommended one was taken, as sentences.

    Args:
        best: the recommended one.
        trials: all of them.
        deadline_s: that was asked for.
        num_captions: on which they were tried.
        goal: that was made small.
    """
    usable = [trial for trial in trials if not trial.reason]
    excluded = [f"{trial.protocol} is out: {trial.reason}" for trial in trials if trial.reason]
    fidelity = f"prompt fidelity (at most {ENOUGH:g} less)"
    measure = fidelity if best.prompt_fidelity is not None else f"PSNR (at most {SAME_DB:g} dB less)"
    in_time = "" if deadline_s is None else f" and are there within {deadline_s:g} s in 95 % of cases"
    return [
        f"{len(usable)} of {len(trials)} protocols fit the memory{in_time}",
        f"{len(_about_the_best(usable))} are about as good as the best by {measure}, on {num_captions} captions",
        f"of these {best.protocol} takes least {_SPENT[goal].format(best.spent(goal))}",
        *excluded,
    ]


def _about_the_best(trials: Sequence[Trial]) -> list[Trial]:
    judged = [trial.prompt_fidelity for trial in trials if trial.prompt_fidelity is not None]
    # All protocols draw the same captions, so that fidelity is known of all or of none.
    if len(judged) == len(trials):
        return [trial for trial in trials if (trial.prompt_fidelity or 0.0) >= max(judged, default=0.0) - ENOUGH]
    top_db = max((_db(trial) for trial in trials if trial.psnr_db is not None), default=0.0)
    return [trial for trial in trials if _db(trial) >= top_db - SAME_DB]


def _db(trial: Trial) -> float:
    return float("inf") if trial.psnr_db is None else trial.psnr_db


def _psnr_db(images: Tensor, reference: Tensor) -> float | None:
    # Sums in another order differ by less than this, so that such pictures are the same.
    mse = (images - reference).double().square().mean()
    return None if float(mse) < 1e-10 else float(psnr_db_of_mse(mse))
