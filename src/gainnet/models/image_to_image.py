"""From a picture to the place in the sampler where denoising it begins: text-guided image-to-image."""

from __future__ import annotations

from gainnet.core.errors import ConfigError, check_range
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.counting import flatten_batch
from gainnet.models.diffusion import Denoiser, DiffusionModel
from gainnet.models.families import FAMILIES, Family
from gainnet.models.part import TensorMap
from gainnet.models.samplers import Sampler


def add_noise(sampler: Sampler, latent: Spec, step: int) -> TensorMap:
    r"""A clean latent as it is before a step of the sampler: $z_t = \alpha_t z_0 + \sigma_t \epsilon$.

    The noise is the one that `prior` draws for the same item (Meng et al. 2022, SDEdit).

    Args:
        sampler: which knows $\alpha_t$ and $\sigma_t$.
        latent: shape of the latent.
        step: index of the step that comes next, from 0.
    """

    def noised(tensors: Tensors, random: Random) -> Tensors:
        rank, clean = len(random.batch), tensors["latent"]
        noise = random.normal(latent.shape, "prior").to(clean.device)
        noisy = sampler.noised(flatten_batch(clean, rank), flatten_batch(noise, rank), step)
        return {"latent": noisy.reshape(clean.shape)}

    return TensorMap(f"noising[{step}]", ("latent",), {"latent": latent}, noised)


def start_step(num_steps: int, strength: float, family: Family = FAMILIES["sd"]) -> int:
    """Index of the first step that image-to-image of a strength runs, as the pipeline of the family counts.

    Args:
        num_steps: steps of the whole sampler.
        strength: share of the steps that run, above 0 to 1.
        family: of the model; they round otherwise.

    Raises:
        ConfigError: the strength is out of range, or so small that no step is left.

    >>> start_step(10, 0.6), start_step(10, 1.0)
    (4, 0)
    """
    check_range(0.0 < strength <= 1.0, "strength", strength, "above 0 and at most 1")
    start = family.first_step(num_steps, strength)
    if start == num_steps:
        raise ConfigError(f"strength: {strength} leaves none of {num_steps} steps; give at least {1 / num_steps:g}")
    return start


def from_picture(model: DiffusionModel, strength: float) -> tuple[TensorMap, Denoiser]:
    """Noising of a picture's latent, and the steps of the denoiser that are left from there.

    latent -> noising -> latent -> denoiser[start:] -> latent

    Args:
        model: whose denoiser runs.
        strength: share of its steps, above 0 to 1.

    Raises:
        ConfigError: see `start_step`.

    >>> from gainnet.models.loading import load_model
    >>> [part.name for part in from_picture(load_model("scenes"), 0.6)]
    ['noising[4]', 'denoiser[4:10]']
    """
    denoiser, sampler = model.denoiser, model.denoiser.sampler
    # Counted in steps that were asked for; some samplers call the network twice in each.
    start = sampler.order * start_step(sampler.num_asked, strength, model.family)
    return add_noise(sampler, model.latent, start), denoiser.begun_at(start)
