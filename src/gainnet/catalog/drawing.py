"""From the texts of a run that learns to draw to a denoiser, pictures of the devices, and those of the test."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor

from gainnet.catalog.records import LearnConfig
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.generation.picture import open_picture
from gainnet.learning.algorithms.methods import FedOpt, FedProx, Lora, Method, WholeModel
from gainnet.learning.clients import Client
from gainnet.learning.pictures import Shown
from gainnet.learning.session import Learning
from gainnet.models.denoising import TrainedDenoiser, fresh_draws, rows_of_pictures
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.emoji.captions import WORDINGS, read_wordings
from gainnet.models.emoji.styled import caption_of, read_styled
from gainnet.models.loading import find_folder, load_model
from gainnet.models.scenes import STICKERS, draw_scenes, render, stream, write_captions

USUAL: Final[Mapping[str, Any]] = {"algorithm": "lora", "model": "scenes", "rate": 0.02, "rank": 8}
"""Settings of drawing where none were chosen."""
OF_DRAWING: Final = ("task", "pictures", "num_pictures")
OF_TEXT: Final = ("domains", "texts", "num_texts", "row_length", "dropout")
"""Fields without a meaning for the other task."""
NUM_TESTS: Final = 48
"""Most pictures of the test."""
NUM_SHOWN: Final = 6
SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp")
TEST_STREAM, DEVICE_STREAM = "draw test", "draw devices"


@final
@dataclass(frozen=True, eq=False)
class Material:
    """A model, who learns, and what nobody trains on.

    Args:
        model: that learns.
        clients: with their rows.
        test_rows: [num_rows, length].
        shown: pictures that a denoiser is shown by; `None` for text.
    """

    model: Any
    clients: tuple[Client, ...]
    test_rows: Tensor
    shown: Shown | None = None


@final
@dataclass(frozen=True, eq=False)
class Styled:
    """Pictures of one style with their captions.

    Args:
        captions: n of them.
        pictures: [n, 3, height, width] in [0, 1].
    """

    captions: tuple[str, ...]
    pictures: Tensor

    def __getitem__(self, part: slice) -> Styled:
        """Some of them."""
        return Styled(self.captions[part], self.pictures[part])


def usual_of(values: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Values of options, with those that are usual for drawing where the task is that and nothing was chosen.

    >>> usual_of({"task": "draw", "rank": 2, "rate": 0.1}, ["rate"])["rank"]
    8
    """
    usual = {name: x for name, x in USUAL.items() if name not in given} if values.get("task") == "draw" else {}
    return {**values, **usual}


def drawing_method(method: Method) -> Method:
    """The method for a denoiser; LoRA locks its first factors where nothing else is said.

    Raises:
        ConfigError: it needs a model of text, or products of convolutions.

    >>> drawing_method(Lora(rank=4))
    Lora(rank=4, merging='frozen')
    """
    if isinstance(method, Lora) and method.merging is None:
        # Public first factors: the mean of the second ones is then the mean of the updates, exactly.
        return replace(method, merging="frozen")
    if isinstance(method, Lora) and method.merging in ("svd", "stacked"):
        raise ConfigError(f"merging: {method.merging} multiplies linear maps alone; choose frozen or factors")
    if not isinstance(method, Lora | WholeModel | FedProx | FedOpt):
        raise ConfigError("algorithm: denoisers are neither cut nor given tokens; choose lora, fedavg, or fedprox")
    return method


def open_pictures(config: LearnConfig, learning: Learning) -> Material:
    """Denoiser, pictures of the devices, and pictures and captions of the test.

    Raises:
        ConfigError: there are no pictures, or too few.
        ModelError: the model is none of pictures.
    """
    model = load_model(config.model, torch_device=config.torch_device, online=config.online)
    denoiser, (own, test) = TrainedDenoiser(model), pictures_of(config, model)
    random, fresh = Random.of(config.random_seed).child("draw"), fresh_draws(denoiser, model)
    rows = rows_of_pictures(denoiser, model, own.pictures, own.captions, random.child("devices"))
    test_rows = rows_of_pictures(denoiser, model, test.pictures, test.captions, random.child("test"))
    clients = tuple(replace(client, fresh=fresh) for client in learning.deal([rows]))
    some = test[:NUM_SHOWN]
    return Material(denoiser, clients, test_rows, Shown(model, some.captions, some.pictures))


def pictures_of(config: LearnConfig, model: DiffusionModel) -> tuple[Styled, Styled]:
    """(pictures of all devices, pictures of the test), in one style; no caption is in both."""
    wanted = config.clients * config.num_pictures
    if config.pictures is None:
        if config.model != "scenes":
            raise ConfigError(f"pictures: {config.model} has none in a style of devices; give --pictures FOLDER")
        return stickers(wanted, DEVICE_STREAM, config.random_seed), stickers(NUM_TESTS, TEST_STREAM, 0)
    found = by_digest(read_pictures(Path(config.pictures), model))
    # A tenth, as of text: by the digest of the caption, so that a picture that is added moves no other one.
    num_tests = min(NUM_TESTS, len(found.captions) // 10)
    if not num_tests or len(found.captions) - num_tests < config.clients:
        raise ConfigError(f"pictures: {len(found.captions)} are too few for {config.clients} devices and a test")
    return found[num_tests:][:wanted], found[:num_tests]


def stickers(count: int, purpose: str, random_seed: int) -> Styled:
    """Scenes that nobody else draws, in the style of stickers.

    Args:
        count: how many.
        purpose: name of the random stream.
        random_seed: of the stream.
    """
    rng = stream(random_seed, purpose, 0)
    scenes = draw_scenes(count, rng)
    return Styled(tuple(write_captions(scenes, rng)), render(scenes, STICKERS))


def read_pictures(folder: Path, model: DiffusionModel) -> Styled:
    """Pictures of a folder with their captions: flat emoji that the model knows, or files that are called by them.

    Raises:
        ConfigError: nothing is there, or a file is no picture.
    """
    if (folder / "icons.json").is_file():
        known = {wording.own() for wording in read_wordings(find_folder(model.name) / WORDINGS)}
        captions, pixels = read_styled(folder, known)
        return Styled(captions, pixels.float() / 255)
    if not folder.is_dir():
        raise ConfigError(f"pictures: {folder} is not a folder; give one of pictures that are called by their captions")
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ConfigError(f"pictures: {folder} holds none ({', '.join(SUFFIXES)}); give a folder of captioned pictures")
    image = model.decoder.writes["image"]
    return Styled(_captions(paths), torch.stack([open_picture(path, image) for path in paths]))


def _captions(paths: Sequence[Path]) -> tuple[str, ...]:
    return tuple(caption_of(path.stem) for path in paths)


def by_digest(styled: Styled) -> Styled:
    """The pictures in the order of the digests of their captions, which is nobody's choice."""
    order = sorted(range(len(styled.captions)), key=lambda k: sha256(styled.captions[k].encode()).digest())
    return Styled(tuple(styled.captions[k] for k in order), styled.pictures[order])
