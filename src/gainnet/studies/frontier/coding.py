"""Schemes of frontier: what each sends of a picture, and what the device makes of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import Tensor

from gainnet.codecs import ResidualCode, TransformSeed
from gainnet.codecs.content import Content
from gainnet.codecs.opponents import BestPicture
from gainnet.codecs.transform_seed.annealing import annealed
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Bits
from gainnet.models.denoised_seed import denoised_seed
from gainnet.studies.frontier.bench import (
    Bench,
    Coded,
    drafted_of,
    errors_of,
    lacking,
    seeds_at,
    strings_of,
)
from gainnet.studies.own import OwnCodec
from gainnet.studies.pictures import in_batches

GREY: Final = 0.5
"""Level of all values of a picture that did not arrive."""
SEARCHED: Final = 20
"""Pictures that are searched for at once."""

Latents = Callable[[Bench, int, int], Tensor]
"""Latents [n, *latent] that are coded at a level, of a random seed's pictures."""


def finished(bench: Bench, level: int, random_seed: int) -> Tensor:
    """The latents [n, *latent] that were asked for, whatever the level."""
    return bench.pictures_of(random_seed).latents


@lru_cache(maxsize=8)
def annealed_latents(bench: Bench, level: int, random_seed: int) -> Tensor:
    """Latents [n, *latent] in their place, whose coded form makes the pictures for the least bits and error."""
    pictures, size = bench.pictures_of(random_seed), bench.model.latent.shape
    code = TransformSeed(level=level, prompts=pictures.prompts, weights=bench.transform_weights)
    latents: Tensor = pictures.latents.flatten(1)
    found: list[Tensor] = []
    for start in range(0, len(latents), SEARCHED):
        own = latents[start : start + SEARCHED]
        relaxed = code.of_items(range(start, start + len(own))).relaxed(len(own))
        found.append(annealed(own, relaxed, bench.decode, bench.config.annealing_steps))
    return torch.cat(found).reshape(-1, *size)


def seeds(bench: Bench, latents: Latents, with_step: bool, level: float, random_seed: int) -> Coded:
    """Seeds of the transform code with the prompt as side information, and one pass of the denoiser on request.

    Args:
        bench: of the run.
        latents: the finished ones, or those that a search found.
        with_step: whether the device cleans the decoded seed by one pass with the prompt.
        level: of the transform code.
        random_seed: of the pictures.
    """
    pictures = bench.pictures_of(random_seed)
    strings, decoded = seeds_at(bench, pictures.prompts, latents(bench, int(level), random_seed), int(level))
    if with_step:
        random, given = pictures.random, {"prompt": text_to_tensor(list(pictures.prompts))}
        condition = in_batches((bench.model.text_encoder,), given, random, ("condition",))["condition"]
        variance = bench.error_variances(int(level))
        decoded = denoised_seed(bench.model.denoiser, condition, decoded, variance)
    lost = TransformSeed(level=int(level), prompts=pictures.prompts, weights=bench.transform_weights).decode(
        Bits((None,) * len(strings), (len(strings),)), bench.model.latent
    )
    return Coded(strings, bench.errors(decoded, random_seed), bench.errors(lost, random_seed), int(with_step))


def own_seeds(bench: Bench, codec: OwnCodec, num_bytes: float, random_seed: int) -> Coded:
    """Seeds of a codec of the user's, which the device decodes without a pass of the denoiser.

    Args:
        bench: of the run.
        codec: of bits.
        num_bytes: budget of a picture.
        random_seed: of the pictures.
    """
    pictures, model = bench.pictures_of(random_seed), bench.model
    content = Content(model.latent, "seed", bench.config.model, model.sha256, pictures.prompts)
    made, num = codec.bound(content, 0, 8.0 * num_bytes), len(pictures.prompts)
    payload = made.encode(pictures.latents, torch.ones(num))
    arrived, lost = (made.decode(sent, model.latent) for sent in (payload, Bits((None,) * num, (num,))))
    return Coded(strings_of(payload), bench.errors(arrived, random_seed), bench.errors(lost, random_seed), 0)


def corrections(bench: Bench, draft: str, level: float | None, random_seed: int) -> Coded:
    """Drafts and corrections; drafts alone without a level.

    Args:
        bench: of the run.
        draft: its name.
        level: of the code of corrections; `None` sends nothing.
        random_seed: of the pictures.
    """
    drafted = drafted_of(bench, draft, random_seed)
    if level is None:
        nothing = (b"",) * len(drafted.drafts)
        return Coded(nothing, drafted.errors, drafted.errors, drafted.num_passes)
    return corrected(bench, draft, int(level), random_seed, drafted.sent)


def annealed_corrections(bench: Bench, draft: str, level: float, random_seed: int) -> Coded:
    """Drafts and the corrections that a search of the edge found, of as `corrections`."""
    drafts = drafted_of(bench, draft, random_seed).drafts.flatten(1)
    latents = bench.pictures_of(random_seed).latents.flatten(1)
    code = ResidualCode(level=int(level), draft=draft, weights=bench.correction_weights)
    found = [
        annealed(own, code.relaxed(own, drafted), bench.decode, bench.config.annealing_steps)
        for own, drafted in zip(latents.split(SEARCHED), drafts.split(SEARCHED), strict=True)
    ]
    return corrected(bench, draft, int(level), random_seed, lacking(code, torch.cat(found), drafts))


def corrected(bench: Bench, draft: str, level: int, random_seed: int, sent: Tensor) -> Coded:
    """Drafts and corrections as they are sent [n, num_values + 1], digests included."""
    drafted = drafted_of(bench, draft, random_seed)
    code = ResidualCode(level=level, draft=draft, weights=bench.correction_weights)
    items = code.items(sent)
    values = torch.from_numpy(np.stack([item.values for item in items])).float()
    latents = code.corrected(drafted.drafts.flatten(1), values)
    strings = tuple(item.string for item in items)
    return Coded(strings, bench.errors(latents, random_seed), drafted.errors, drafted.num_passes)


@lru_cache(maxsize=8)
def encodes_of(bench: Bench, random_seed: int) -> list[list[tuple[float, bytes]]]:
    """Per picture of a random seed: mean squared error, of values in [0, 1], and string of its best encode in every
    budget."""
    images, strings = bench.pictures_of(random_seed).images, []
    for num_bytes in bench.config.nums_bytes:
        codec = BestPicture(8.0 * num_bytes, tuple(bench.config.encoders), bench.encodes)
        strings.append(codec.encode(images, torch.ones(len(images))))
    found: list[list[tuple[float, bytes]]] = [[] for _ in images]
    for payload in strings:
        errors = errors_of(codec.decode(payload, bench.model.image), images).tolist()
        for tried, error, string in zip(found, errors, strings_of(payload), strict=True):
            tried.append((error, string))
    return found


def pictures_coded(bench: Bench, slope: float, random_seed: int) -> Coded:
    """Finished pictures, each by the encoder, resolution and quantiser of least error plus slope times bits.

    With one slope for all pictures those that need more bits get them, as a correction at one level does.

    Args:
        bench: of the run.
        slope: mean squared error per bit.
        random_seed: of the pictures.
    """
    images = bench.pictures_of(random_seed).images
    chosen = [min(own, key=lambda pair: pair[0] + slope * 8 * len(pair[1])) for own in encodes_of(bench, random_seed)]
    errors = torch.tensor([error for error, _ in chosen], dtype=torch.float64)
    lost = errors_of(torch.full_like(images, GREY), images)
    return Coded(tuple(string for _, string in chosen), errors, lost, 0)
