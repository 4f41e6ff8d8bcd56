"""Fast models beside the model that they were distilled from: the same picture of the same noise, in a few passes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, final

from gainnet.core.errors import ModelError
from gainnet.core.files import write_folder
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.core.weights import user_folder
from gainnet.models.diffusion import Denoiser, DiffusionModel
from gainnet.models.loading import fast_models, find_folder, load_model, teacher_of, weights_sha256
from gainnet.models.part import Role

MEND: Final = "train one with gainnet train few-steps --out FOLDER --install"


@final
@dataclass(frozen=True)
class Fast:
    """A draft of a fast model, which needs no guidance: a pass is one evaluation of its network.

    condition, latent (noise) --(network, sampler's step) x num_passes--> draft

    Args:
        denoiser: of the fast model, with as many steps.
    """

    denoiser: Denoiser
    role: Role = "denoiser"
    reads: tuple[str, ...] = ("condition", "latent")

    @property
    def name(self) -> str:
        return f"denoiser[fast, passes={self.num_passes}]"

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {"draft": self.denoiser.latent}

    @property
    def num_passes(self) -> int:
        return self.denoiser.num_passes

    @property
    def flops(self) -> float:
        return self.denoiser.flops

    @property
    def memory_bytes(self) -> float:
        return self.denoiser.memory_bytes

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        # The last branch is that of the prompt; guidance is part of the weights.
        condition = tensors["condition"].narrow(len(random.batch), -1, 1)
        made = self.denoiser({"condition": condition, "latent": tensors["latent"]}, random)
        return {"draft": made["latent"]}


def student_place(model_sha256: str) -> Path:
    """Where the fast model of a model is installed, by the digest of the model."""
    return user_folder() / "students" / model_sha256


def install_student(folder: Path) -> Path:
    """Copies a fast model to where it is found for its teacher; returns that place.

    Args:
        folder: that `gainnet train few-steps` wrote.

    Raises:
        ModelError: the folder does not say which model it was distilled from.
        ConfigError: the place cannot be written.
    """
    if not (teacher := teacher_of(folder)):
        raise ModelError(f"student: {folder} was distilled from no model; {MEND}")
    return write_folder(student_place(teacher), lambda new: _copy(folder, new))


def find_student(model_sha256: str) -> Path | None:
    """The folder of the fast model of a model, installed, else shipped; `None` where there is none.

    Args:
        model_sha256: digest of the model that it was distilled from.
    """
    places = [student_place(model_sha256), *(find_folder(name) for name in fast_models())]
    return next((place for place in places if place.is_dir() and teacher_of(place) == model_sha256), None)


def fast_model(model: DiffusionModel, num_passes: int) -> DiffusionModel:
    """The fast model of a model, with as many passes.

    Args:
        model: that it was distilled from.
        num_passes: 1 or more; 1, 2 and 4 are trained.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    if (folder := find_student(model.sha256)) is None:
        raise ModelError(f"student: {model.name} has no fast model; {MEND}")
    return open_student(folder, num_passes)


def open_student(folder: Path, num_passes: int) -> DiffusionModel:
    """The fast model of a folder, whose guidance is part of its weights.

    Args:
        folder: that `gainnet train few-steps` or `pack_student` wrote.
        num_passes: 1 or more.

    Raises:
        ModelError: it is missing or damaged.
    """
    return _opened(folder, weights_sha256(folder), num_passes)


@lru_cache(maxsize=4)
def _opened(folder: Path, sha256: str, num_passes: int) -> DiffusionModel:
    # The digest is part of the key, since another student may be installed in the same place.
    return load_model(str(folder), num_steps=num_passes, guidance_scale=1.0)


def _copy(folder: Path, new: Path) -> None:
    shutil.copytree(folder, new, dirs_exist_ok=True)
