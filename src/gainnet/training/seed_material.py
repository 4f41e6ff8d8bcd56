"""The material of every training of a seed codec: a model, latents that it generates, and their captions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import Field, asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, final

from gainnet.codecs.seed_codec import Vocabulary
from gainnet.core.errors import ConfigError
from gainnet.models.latent_space import LatentSpace
from gainnet.training.loop import Progress, Training, open_training
from gainnet.training.seed_latents import SeedLatents, make_seed_latents, render_latents
from gainnet.training.seed_metric import quick_picture_of
from gainnet.training.seed_sources import SHARD_SIZE, Captioned, Source, num_shards_of
from gainnet.training.transform_stage import Examples, PictureError

USUAL_PICTURE: Final = 3 * 128 * 128


class Sizes(Protocol):
    """How much material a training takes; a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def num_shards(self) -> int: ...
    @property
    def num_held_out(self) -> int: ...
    @property
    def num_renders(self) -> int: ...
    @property
    def latents_random_seed(self) -> int: ...
    @property
    def checkpoint_every(self) -> int: ...


@final
@dataclass(frozen=True)
class SeedMaterial:
    """Latents of a model, divided into those that are learned from and those that only measure.

    Args:
        space: whose latents.
        seen: generated latents to learn from.
        unseen: generated latents, held out.
        vocabulary: words of the captions that are seen.
        examples: `seen` and encoded renders, with their words.
        sha256: digest of the generated latents.
    """

    space: LatentSpace
    seen: SeedLatents
    unseen: SeedLatents
    vocabulary: Vocabulary
    examples: Examples
    sha256: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of a latent."""
        return self.space.shape

    @property
    def size(self) -> float:
        """Of a picture, in pictures of 128 x 128 pixels, for which the transform code's rates were chosen."""
        return self.space.image.num_values / USUAL_PICTURE

    def picture_error(self, square: int) -> PictureError:
        """Errors through the model's decoder, of squares of the latent with that side."""
        return PictureError(partial(quick_picture_of, self.space), self.shape, min(square, *self.shape[1:]))


@contextmanager
def open_seed_training(
    source: Source, out: Path, sizes: Sizes, random_seed: int, progress: Progress, latents: Path | None = None
) -> Iterator[tuple[Training, SeedMaterial]]:
    """The training of a seed codec in a folder, with its material; latents that are not there yet are made.

    Args:
        source: of the latents.
        out: `latents/` and `stages/` lie in it.
        sizes: how much material, and all else that the training depends on.
        random_seed: of the training.
        progress: of latents and stages.
        latents: folder of the latents, where several trainings share them; `out/latents` when `None`.

    Raises:
        ConfigError: `out` cannot be written, a number is out of range, or it was begun with other settings.
        ModelError: the model folder is missing or damaged.
    """
    num_shards = num_shards_of(source, sizes.num_shards)
    if not 0 < sizes.num_held_out < num_shards:
        raise ConfigError(
            f"num_held_out: {sizes.num_held_out} must be at least 1 and less than the {num_shards} shards of "
            f"{SHARD_SIZE} latents; give more prompts or pictures"
        )
    settings = {**source.settings, "random_seed": random_seed, **asdict(sizes)}
    with open_training(out, out / "stages", settings, sizes.checkpoint_every, progress) as training:
        seeds, digest = make_seed_latents(
            source, latents or out / "latents", num_shards, sizes.latents_random_seed,
            lambda made, total: progress("latents", made, total, 0.0),
        )  # fmt: skip
        num_seen = (num_shards - sizes.num_held_out) * SHARD_SIZE
        seen, unseen = seeds[:num_seen], seeds[num_seen:]
        vocabulary = Vocabulary.of(seen.prompts)
        # Renders are of the scenes that the shipped model draws; other models have only what they generate.
        is_of_scenes = isinstance(source, Captioned) and source.model.name == "scenes"
        renders = render_latents(source.space, sizes.num_renders if is_of_scenes else 0, sizes.latents_random_seed)
        yield training, SeedMaterial(
            source.space, seen, unseen, vocabulary, Examples.of(seen, renders, vocabulary), digest
        )  # fmt: skip


def description(metrics: dict[str, Any], sizes: Sizes, random_seed: int, training: Training) -> dict[str, Any]:
    """Metrics, and how the weights were trained, for their `config.json`."""
    cpu_s = {name: round(seconds) for name, seconds in training.cpu_s.items()}
    return {"metrics": metrics, "trained": {"random_seed": random_seed, **asdict(sizes), "cpu_s": cpu_s}}
