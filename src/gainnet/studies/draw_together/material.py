"""Pictures of two styles under the same captions: scenes, plain and as stickers, or emoji by two houses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from gainnet.catalog.drawing import Styled, by_digest, read_pictures
from gainnet.core.errors import ConfigError
from gainnet.models.attributes import AttributeClassifier, prompt_fidelity
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.efficientnet import features_of, load_features
from gainnet.models.emoji.album import Album
from gainnet.models.emoji.styled import caption_of
from gainnet.models.scenes import PLAIN, STICKERS, draw_scenes, render, stream, write_captions
from gainnet.studies.draw_together.question import DrawTogetherConfig
from gainnet.training.emoji_evaluation import nearest

Fidelity = Callable[[Tensor, Sequence[str]], list[float]]
"""(pictures [n, 3, height, width] in [0, 1], their captions) -> in [0, 1] each, whether they show what was asked."""


@final
@dataclass(frozen=True, eq=False)
class Pairs:
    """Captions with a picture in either style.

    Args:
        captions: n of them.
        plain: [n, 3, height, width] in [0, 1], in the model's own style.
        styled: likewise, in the devices'.
    """

    captions: tuple[str, ...]
    plain: Tensor
    styled: Tensor

    def __getitem__(self, part: slice) -> Pairs:
        """Some of them."""
        return Pairs(self.captions[part], self.plain[part], self.styled[part])


@final
@dataclass(frozen=True, eq=False)
class Material:
    """Pictures of devices, captions that are asked, and pairs that judges learn from; no caption is in two of them.

    Args:
        devices: all their pictures.
        held_out: captions that are asked.
        judged: for the judge of style.
        fidelity: whether pictures show what captions say.
    """

    devices: Styled
    held_out: Pairs
    judged: Pairs
    fidelity: Fidelity


def gather(config: DrawTogetherConfig, model: DiffusionModel) -> Material:
    """The material of a study's settings.

    Raises:
        ConfigError: a file is missing, or there are too few pictures.
    """
    return _emoji(config, model) if config.pictures else _scenes(config)


def _scenes(config: DrawTogetherConfig) -> Material:
    def pairs(purpose: str, count: int) -> Pairs:
        rng = stream(0, f"draw-together {purpose}", 0)
        scenes = draw_scenes(count, rng)
        return Pairs(tuple(write_captions(scenes, rng)), render(scenes, PLAIN), render(scenes, STICKERS))

    classifier = AttributeClassifier.from_pretrained()

    def fidelity(pictures: Tensor, captions: Sequence[str]) -> list[float]:
        return [float(share or 0.0) for share in prompt_fidelity(classifier, pictures, captions)]

    own, judged = pairs("devices", config.num_devices * config.num_pictures), pairs("judge", config.judge_pictures)
    # Streams can write one caption twice, and what was trained on is not held out.
    asked, taken = pairs("held out", 2 * config.num_captions), {*own.captions, *judged.captions}
    kept = [k for k, caption in enumerate(asked.captions) if caption not in taken][: config.num_captions]
    if len(kept) < config.num_captions:
        raise ConfigError(f"num_captions: only {len(kept)} captions are on no device; ask fewer")
    held_out = Pairs(tuple(asked.captions[k] for k in kept), asked.plain[kept], asked.styled[kept])
    return Material(Styled(own.captions, own.styled), held_out, judged, fidelity)


def _emoji(config: DrawTogetherConfig, model: DiffusionModel) -> Material:
    path = Path(config.album)
    if not path.is_file():
        raise ConfigError(f"album: {path} is not there; `gainnet train emoji --out runs/emoji` draws it first")
    album = Album.kept(path, path.parent)
    place = {caption_of(name): k for k, names in enumerate(album.names) for name in names}
    found = by_digest(read_pictures(Path(config.pictures), model))
    kept = [k for k, caption in enumerate(found.captions) if caption in place]
    captions = tuple(found.captions[k] for k in kept)
    plain = album.pictures[[place[caption] for caption in captions]].float() / 255
    every = Pairs(captions, plain, found.pictures[kept])
    first, second = config.num_captions, config.num_captions + config.num_devices * config.num_pictures
    if len(captions) < second + config.judge_pictures:
        raise ConfigError(f"num_pictures: {len(captions)} pictures are too few; lower num_pictures or judge_pictures")
    own = every[first:second]
    judged = every[second : second + config.judge_pictures]
    return Material(Styled(own.captions, own.styled), every[:first], judged, _nearest_name(every))


def _nearest_name(every: Pairs) -> Fidelity:
    """Whether the nearest picture of either style, by features of a network of photographs, is of the caption."""
    network = load_features()
    known = torch.cat([features_of(some, network).local for some in (every.plain, every.styled)])
    names = (*every.captions, *every.captions)

    def fidelity(pictures: Tensor, captions: Sequence[str]) -> list[float]:
        found = nearest(features_of(pictures, network).local, known)[:, 0].tolist()
        return [float(names[k] == caption) for k, caption in zip(found, captions, strict=True)]

    return fidelity
