"""All codes of seeds for a model of the user's own: linear, learned and transform, on latents that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar, final

from gainnet.codecs.basis import BASES
from gainnet.codecs.components import Components, load_components
from gainnet.codecs.seed_codec.weights import NETWORKS
from gainnet.codecs.shelf import Shelf
from gainnet.codecs.transform_seed.weights import TRANSFORMS
from gainnet.core.errors import ConfigError
from gainnet.core.run.loop import silent
from gainnet.core.weights import CONFIG
from gainnet.training.large_basis import MOST_COMPONENTS, MOST_DENSE, large_basis
from gainnet.training.loop import Progress
from gainnet.training.precision import round_to_bfloat16
from gainnet.training.seed_basis import basis_of, energy_shares
from gainnet.training.seed_codec import PRESETS as SEED_PRESETS
from gainnet.training.seed_codec import SeedTraining, train_seed_codec
from gainnet.training.seed_material import open_seed_training
from gainnet.training.seed_sources import SHARD_SIZE, Source, num_shards_of
from gainnet.training.seed_stage import SeedStageLength
from gainnet.training.transform_seed import PRESETS as TRANSFORM_PRESETS
from gainnet.training.transform_seed import TransformTraining, train_transform_seed
from gainnet.training.transform_stage import StageLength

CODES: Final = ("linear", "seed", "transform")
SHELVES: Final[dict[str, Shelf]] = {"linear": BASES, "seed": NETWORKS, "transform": TRANSFORMS}
LATENTS: Final = "latents"
PER_COMPONENT: Final = ("num_components", "num_again", "num_mixed")
"""Sizes of the learned code's network that no latent of fewer components can have."""

NUM_LATENTS: Final = 2000
"""Latents of the default preset: enough for components of a few thousand entries, and an afternoon of a GPU for
pictures of 512 x 512 pixels."""

T = TypeVar("T", bound=SeedTraining | TransformTraining)


@final
@dataclass(frozen=True)
class OwnTraining:
    """How much the codes of an own model are trained, on how many latents.

    Args:
        num_latents: generated ones, or tiles of pictures as far as there are any; a twelfth is held out.
        effort: share of the steps of the preset, above 0.
        preset: `default` trains as the shipped codes were trained, `tiny` only shows that everything runs.

    Raises:
        ConfigError: a number is out of range.
    """

    num_latents: int = NUM_LATENTS
    effort: float = 1.0
    preset: str = "default"

    def __post_init__(self) -> None:
        if self.num_latents <= SHARD_SIZE:
            raise ConfigError(f"num_latents: {self.num_latents} must be more than {SHARD_SIZE}")
        if not 0.0 < self.effort <= 100.0:
            raise ConfigError(f"effort: {self.effort:g} must be above 0 and at most 100")

    def of_seed(self, source: Source) -> SeedTraining:
        """Of the learned seed code, for latents of that size."""
        found = self._sized(SEED_PRESETS[self.preset], source)
        longs = tuple(self._stage(source, length) for length in found.lengths)
        most = min(MOST_COMPONENTS, source.space.latent.num_values)
        sizes = {name: min(getattr(found.architecture, name), most) for name in PER_COMPONENT}
        architecture = replace(found.architecture, **sizes)
        return replace(found, first_probe=0, lengths=(longs[0], longs[1], longs[2]), architecture=architecture)

    def of_transform(self, source: Source) -> TransformTraining:
        """Of the transform code, for latents of that size."""
        found = self._sized(TRANSFORM_PRESETS[self.preset], source)
        return replace(found, lengths=tuple(self._length(source, length) for length in found.lengths))

    def _sized(self, training: T, source: Source) -> T:
        num_shards = num_shards_of(source, -(-self.num_latents // SHARD_SIZE))
        if num_shards < 2:
            raise ConfigError(
                f"pictures: they give {source.most} tiles; give pictures for more than {SHARD_SIZE}, each of at least "
                f"{source.space.image.shape[2]} x {source.space.image.shape[1]} pixels"
            )
        return replace(training, num_shards=num_shards, num_held_out=max(1, num_shards // 12), num_renders=0)

    def _stage(self, source: Source, length: SeedStageLength) -> SeedStageLength:
        groups = (4, 4) if _is_large(source) and self.preset != "tiny" else length.groups
        return replace(length, num_steps=self._steps(length.num_steps), groups=groups)

    def _length(self, source: Source, length: StageLength) -> StageLength:
        batch_size = min(16, length.batch_size) if _is_large(source) else length.batch_size
        return replace(length, num_steps=self._steps(length.num_steps), batch_size=batch_size)

    def _steps(self, num_steps: int) -> int:
        return max(1, round(self.effort * num_steps))


def train_own_seeds(
    source: Source,
    out: Path,
    training: OwnTraining,
    codes: Sequence[str] = CODES,
    random_seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Path]:
    """Trains codes of seeds and installs each by the digest of its model; goes on where it was stopped.

        source --> latents/ --> linear/     principal components
                           '--> seed/       learned joint source-channel code
                           '--> transform/  learned transform and entropy model

    Args:
        source: of the latents, which all codes are learned from.
        out: folder of the above.
        training: how much.
        codes: which of them.
        random_seed: of weights, batches, channels and noise.
        progress: receives (stage, steps taken, steps in all, mean loss).

    Returns:
        Where each code is installed.

    Raises:
        ConfigError: a code is unknown, there is too little to learn from, `out` cannot be written or was begun with
            other settings.
    """
    if unknown := sorted(set(codes) - set(CODES)):
        raise ConfigError(f"code: {unknown[0]!r} is unknown; choose among {', '.join(CODES)}")
    installed = {}
    for code in (each for each in CODES if each in codes):
        folder, latents = out / code, out / LATENTS
        if code == "linear":
            train_linear(source, folder, training.of_seed(source), random_seed, progress, latents)
        elif code == "seed":
            train_seed_codec(source, folder, training.of_seed(source), random_seed, progress, latents)
        else:
            sizes = training.of_transform(source)
            # An archive takes a quarter less for weights of eight significant bits.
            train_transform_seed(source, folder, sizes, random_seed, progress, latents, round_to_bfloat16)
        # One by one, so that a code can be used while the next is still trained.
        installed[code] = SHELVES[code].install(folder, source.space.sha256)
    return installed


def train_linear(
    source: Source,
    out: Path,
    training: SeedTraining,
    random_seed: int = 0,
    progress: Progress = silent,
    latents: Path | None = None,
) -> Components:
    """The principal components of latents, written to a weights folder; those that are there are read.

    All components where their matrix fits; of larger latents those by spatial frequency or the strongest ones,
    whichever sends better pictures.

    Args:
        source: of the latents.
        out: weights (`config.json`, `basis.safetensors`).
        training: how many latents and probes.
        random_seed: of probes and directions.
        progress: receives (stage, steps taken, steps in all, mean loss).
        latents: folder of the latents, where several trainings share them.

    Raises:
        ConfigError: `out` cannot be written, or was begun with other settings.
    """
    with open_seed_training(source, out, training, random_seed, progress, latents) as (_, material):
        if (out / CONFIG).is_file():
            return load_components(out, material.space.sha256)
        seen, num_probes = material.seen.latents, training.num_probes
        if material.space.latent.num_values <= MOST_DENSE:
            basis: Components = basis_of(seen, None, material.space.sha256)
        else:
            basis = large_basis(
                material.space, seen, material.unseen.latents, num_probes, random_seed,
                lambda made, total: progress("metric", made, total, 0.0),
            )  # fmt: skip
        metrics: dict[str, Any] = {"energy_of_first_components": energy_shares(basis.variances)}
        basis.save(out, {"metrics": metrics, "trained": {"num_latents": len(seen), "random_seed": random_seed}})
        return basis


def _is_large(source: Source) -> bool:
    return source.space.latent.num_values > MOST_DENSE
