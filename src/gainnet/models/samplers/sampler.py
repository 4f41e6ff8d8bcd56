"""A scheduler of diffusers as a function of its state: a step can run anywhere, and a state can be sent."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, NamedTuple, cast, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, check_range
from gainnet.core.randomness import Random
from gainnet.models.samplers.levels import Edm, Flow, Levels, Tabulated
from gainnet.models.samplers.names import Scale, name_of, scale_of

PROBE: Final = (1, 1, 1, 1)
"""Shape of the latents that a sampler is tried out with; it fits beside latents of any shape."""

Predict = Callable[[Tensor, Tensor], Tensor]
"""Prediction [n, c, h, w] of (input of the network [n, c, h, w], time)."""


class Slot(NamedTuple):
    """An attribute of a scheduler that holds latents: its name, and the place where it is a list."""

    name: str
    place: int | None = None


class _Before(NamedTuple):
    """A scheduler before one of its steps: its attributes, and whether the step draws noise."""

    attributes: Mapping[str, Any]
    draws: bool


@final
@dataclass(frozen=True)
class Sampler:
    """A scheduler at a number of steps; nothing of it changes while it runs.

        state before step i [n, c * num_latents(i), h, w] --(network, scheduler's step)--> state before step i + 1

    A state is the latent and, behind it along the channels, the memory of the sampler: past predictions that its later
    steps read. DDIM and Euler have none, DPM++ 2M has one latent, PNDM up to four. What is memory is found out, not
    listed: the scheduler is run on latents of one value, and what it keeps of them and reads later is its memory. A
    sampler that draws noise takes it from a generator whose seed follows from the item's random seed and the step.

    Args:
        scheduler: of diffusers, after `set_timesteps`; it is copied before it steps.
        num_asked: steps that were asked for; some schedulers call the network once or twice as often.
        begin: first step of the run, above 0 for image-to-image.
    """

    scheduler: Any = field(repr=False)
    num_asked: int
    begin: int = 0
    _memories: dict[int, tuple[Slot, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @staticmethod
    def of(scheduler: Any, num_steps: int, timing: Mapping[str, Any] | None = None) -> Sampler:
        """The sampler of a scheduler.

        Args:
            scheduler: of a pipeline; it stays as it is.
            num_steps: 1 to the number of times of the training.
            timing: further arguments of `set_timesteps`, which a family of models gives.

        Raises:
            ModelError: the scheduler is not known.
            ConfigError: it takes no such number of steps.

        >>> from diffusers import PNDMScheduler
        >>> sampler = Sampler.of(PNDMScheduler(skip_prk_steps=True), 4)
        >>> sampler.num_steps, [sampler.num_latents(step) for step in range(6)]
        (5, [1, 3, 2, 3, 4, 1])
        """
        name_of(scheduler)
        limit = int(scheduler.config.get("num_train_timesteps", 1000))
        check_range(1 <= num_steps <= limit, "num_steps", num_steps, f"1 to {limit}, the times of its training")
        own = copy.copy(scheduler)
        try:
            with warnings.catch_warnings():
                # diffusers hands numpy a tensor, which numpy 2 announces to refuse one day.
                warnings.simplefilter("ignore", DeprecationWarning)
                # Times stay on the processor, where every device finds them.
                own.set_timesteps(num_steps, device="cpu", **(timing or {}))
        except (ValueError, TypeError, AssertionError) as error:
            reason = " ".join(str(error).split()) or "its settings do not fit the family of the model"
            raise ConfigError(f"num_steps: {type(own).__name__} takes no {num_steps} steps ({reason})") from error
        if not hasattr(own, "sigmas"):
            # An offset may point one past the table; diffusers raises there.
            own.timesteps = own.timesteps.clamp(max=limit - 1)
        return Sampler(own, num_steps)

    def begun_at(self, step: int) -> Sampler:
        """The same sampler where its first step is another one."""
        return replace(self, begin=step)

    @property
    def num_steps(self) -> int:
        """Steps, with one call of the network each."""
        return len(self.timesteps)

    @property
    def timesteps(self) -> Tensor:
        """[num_steps], times that the network receives."""
        return cast(Tensor, self.scheduler.timesteps)

    @property
    def order(self) -> int:
        """Calls of the network per step that was asked for, as image-to-image counts them."""
        return int(self.scheduler.order)

    @property
    def initial_scale(self) -> float:
        """Standard deviation of the first noise."""
        return float(getattr(self.scheduler, "init_noise_sigma", 1.0))

    @property
    def renoises(self) -> bool:
        """Whether every step adds fresh noise to a clean latent, as that of a consistency model does."""
        return name_of(self.scheduler) == "lcm"

    @property
    def scale(self) -> Scale:
        """Scale of its latents."""
        return scale_of(self.scheduler)

    @cached_property
    def levels(self) -> Levels:
        """Meaning of the network's predictions."""
        scheduler, config = self.scheduler, self.scheduler.config
        if self.scale == "flow":
            return Flow(int(config.num_train_timesteps))
        if name_of(scheduler) == "edm":
            return Edm(scheduler)
        boundary = getattr(scheduler, "get_scalings_for_boundary_condition_discrete", None)
        kind, is_implied = config.get("prediction_type", "epsilon"), hasattr(scheduler, "sigmas")
        return Tabulated(scheduler.alphas_cumprod.double().cpu(), kind, self._restrain, is_implied, boundary)

    def _restrain(self, clean: Tensor) -> Tensor:
        """[n, c, h, w], clean latents within the limits of the scheduler."""
        config = self.scheduler.config
        if config.get("thresholding", False):
            return cast(Tensor, self.scheduler._threshold_sample(clean))
        if config.get("clip_sample", False):
            return clean.clamp(-config.clip_sample_range, config.clip_sample_range)
        return clean

    def power(self, step: int) -> float:
        """Power of the signal in the latent before a step, see `Levels`; 1 after the last step."""
        if step >= self.num_steps:
            return 1.0
        if not hasattr(self.scheduler, "sigmas"):
            return float(self.scheduler.alphas_cumprod[int(self.timesteps[step])])
        return float(self.power_of_sigma(self.scheduler.sigmas[step].double()))

    def power_of_sigma(self, sigma: Tensor) -> Tensor:
        """[...] float64, power of the signal at noise levels [...] as the scheduler writes them."""
        if self.scale == "flow":
            return (1 - sigma).square() / ((1 - sigma).square() + sigma.square())
        return 1 / (1 + sigma.square())

    def amplitudes(self, step: int) -> tuple[float, float]:
        r"""$\alpha$ and $\sigma$ of the latent before a step, $\alpha z_0 + \sigma \epsilon$ on the sampler's scale.

        >>> from diffusers import DDIMScheduler
        >>> Sampler.of(DDIMScheduler(rescale_betas_zero_snr=True, timestep_spacing="trailing"), 4).amplitudes(0)
        (0.0, 1.0)
        """
        power = self.power(step)
        size = self.size(power)
        return size * power**0.5, size * (1.0 - power) ** 0.5

    def size(self, power: float) -> float:
        r"""$\sqrt{\alpha^2 + \sigma^2}$ of the sampler's latents at a power of the signal."""
        match self.scale:
            case "unit":
                return 1.0
            case "exploding":
                return float(power**-0.5)
            case _:
                return float(1.0 / (power**0.5 + (1.0 - power) ** 0.5))

    def noised(self, clean: Tensor, noise: Tensor, step: int) -> Tensor:
        """[n, c, h, w], the latent before a step of clean latents and noise [n, c, h, w]."""
        scheduler, time = copy.copy(self.scheduler), self.timesteps[step : step + 1].to(clean.device)
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(step)
        if hasattr(scheduler, "scale_noise"):
            return cast(Tensor, scheduler.scale_noise(clean, time, noise))
        # One time for all items; schedulers with an index look it up once per time.
        return cast(Tensor, scheduler.add_noise(clean, noise, time))

    def num_latents(self, step: int) -> int:
        """Latents of the state before a step: 1, and 1 more for each in the memory."""
        return 1 + len(self._memory(step))

    def scaled(self, state: Tensor, step: int) -> Tensor:
        """[n, c, h, w], the network's input of a state [n, c * num_latents, h, w] before a step."""
        return _input(self._restored(state, step), self.latent_of(state, step), self.timesteps[step])

    def latent_of(self, state: Tensor, step: int) -> Tensor:
        """[n, c, h, w], the latent in a state [n, c * num_latents, h, w] before a step."""
        return state[:, : state.shape[1] // self.num_latents(step)]

    def run(self, state: Tensor, start: int, stop: int, predict: Predict, random: Random) -> Tensor:
        """[n, c * num_latents, h, w], the state before step `stop`.

        Args:
            state: [n, c * num_latents, h, w], before step `start`.
            start: first step.
            stop: step after the last one.
            predict: the guided network.
            random: streams of the n items, for samplers that draw noise.
        """
        scheduler, latent = self._restored(state, start), self.latent_of(state, start)
        for step in range(start, stop):
            time = self.timesteps[step]
            predicted = predict(_input(scheduler, latent, time), time.to(latent.device))
            latent = self._stepped(scheduler, predicted, latent, step, random)
        kept = [_read(scheduler, slot) for slot in self._memory(stop)]
        return torch.cat([latent, *kept], dim=1) if kept else latent

    def _stepped(self, scheduler: Any, predicted: Tensor, latent: Tensor, step: int, random: Random) -> Tensor:
        """[n, c, h, w], the latent after the step of a scheduler, whose memory changes."""
        options: dict[str, Any] = {}
        if self._before[step - self.begin].draws:
            # One generator per item, so that an item of a batch draws as it would alone.
            options["generator"] = generators(random, step)
        return cast(Tensor, scheduler.step(predicted, self.timesteps[step], latent, return_dict=False, **options)[0])

    @cached_property
    def _before(self) -> tuple[_Before, ...]:
        """The scheduler before each step from `begin`, and after the last, run on latents of one value."""
        scheduler, latent = copy.copy(self.scheduler), torch.zeros(PROBE)
        if self.begin and hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(self.begin)
        source = torch.Generator()
        options = {"generator": source} if "generator" in inspect.signature(scheduler.step).parameters else {}
        found = []
        # Plans run in inference mode, whose tensors no gradient may pass through later.
        with torch.inference_mode(False), torch.no_grad():
            for time in self.timesteps[self.begin :]:
                attributes, drawn = _attributes(scheduler), source.get_state()
                latent = scheduler.step(
                    torch.zeros(PROBE), time, _scaled_first(scheduler, latent, time), return_dict=False, **options
                )[0]
                found.append(_Before(attributes, not torch.equal(drawn, source.get_state())))
        return *found, _Before(_attributes(scheduler), False)

    def _memory(self, step: int) -> tuple[Slot, ...]:
        """Where the scheduler keeps latents before a step that this step or a later one reads."""
        if step not in self._memories:
            self._memories[step] = self._read_later(step)
        return self._memories[step]

    def _read_later(self, step: int) -> tuple[Slot, ...]:
        slots = _slots(self._before[step - self.begin].attributes)
        if not slots or step == self.num_steps:
            return ()
        with torch.inference_mode(False), torch.enable_grad():
            # What has a gradient to the last latent is read on the way there.
            marks = [torch.zeros(PROBE, requires_grad=True) for _ in slots]
            scheduler, latent = self._filled(step, slots, [1.0 * mark for mark in marks]), torch.zeros(PROBE)
            for time in self.timesteps[step:]:
                latent = _scaled_first(scheduler, latent, time)
                latent = scheduler.step(torch.zeros(PROBE), time, latent, return_dict=False)[0]
            if not latent.requires_grad:
                return ()
            slopes = torch.autograd.grad(latent.sum(), marks, allow_unused=True)
        return tuple(slot for slot, slope in zip(slots, slopes, strict=True) if slope is not None)

    def _restored(self, state: Tensor, step: int) -> Any:
        """The scheduler before a step, with the memory of a state."""
        slots = self._memory(step)
        # Cloned, since some schedulers add to their memory in place.
        held = [x.clone() for x in state.chunk(1 + len(slots), dim=1)[1:]] if slots else []
        return self._filled(step, slots, held)

    def _filled(self, step: int, slots: tuple[Slot, ...], held: list[Tensor]) -> Any:
        scheduler = copy.copy(self.scheduler)
        attributes = {name: _own(value) for name, value in self._before[step - self.begin].attributes.items()}
        for (name, place), x in zip(slots, held, strict=True):
            if place is None:
                attributes[name] = x
            else:
                attributes[name][place] = x
        vars(scheduler).update(attributes)
        return scheduler


def generators(random: Random, step: int) -> list[torch.Generator]:
    """One torch generator per item for the noise of a step; its seed is drawn from the item's stream.

    >>> [generator.initial_seed() for generator in generators(Random.of([3, 7]), 0)] == [
    ...     generators(Random.of(seed), 0)[0].initial_seed() for seed in (3, 7)]
    True
    """
    seeds = [int(source.integers(2**63)) for source in random.generators("sampler", step)]
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def _input(scheduler: Any, latent: Tensor, time: Tensor) -> Tensor:
    """[n, c, h, w], latents as the network wants them."""
    # Schedulers of flow matching scale nothing and have no such method.
    return (
        cast(Tensor, scheduler.scale_model_input(latent, time)) if hasattr(scheduler, "scale_model_input") else latent
    )


def _scaled_first(scheduler: Any, latent: Tensor, time: Tensor) -> Tensor:
    """The latent itself, after the scheduler was asked to scale it, as some expect before a step."""
    _input(scheduler, latent, time)
    return latent


def _own(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


def _attributes(scheduler: Any) -> Mapping[str, Any]:
    # Lists are written into, everything else is replaced.
    return {name: _own(value) for name, value in vars(scheduler).items() if name != "_internal_dict"}


def _slots(attributes: Mapping[str, Any]) -> tuple[Slot, ...]:
    """Where latents of the probe's shape are."""
    found = []
    for name, value in sorted(attributes.items()):
        if _is_latent(value):
            found.append(Slot(name))
        elif isinstance(value, list):
            found += [Slot(name, index) for index, x in enumerate(value) if _is_latent(x)]
    return tuple(found)


def _is_latent(value: Any) -> bool:
    return isinstance(value, Tensor) and tuple(value.shape) == PROBE


def _read(scheduler: Any, slot: Slot) -> Tensor:
    held = getattr(scheduler, slot.name)
    return cast(Tensor, held if slot.place is None else held[slot.place])
