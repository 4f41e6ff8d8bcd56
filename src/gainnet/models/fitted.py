"""Few steps of a sampler whose coefficients were fitted, so that they end where many steps end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor

from gainnet.core.errors import ModelError
from gainnet.core.files import write_json
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.core.weights import user_folder
from gainnet.models.counting import flatten_batch
from gainnet.models.diffusion import Denoiser
from gainnet.models.part import Role

SCHEMA: Final = 1


@final
@dataclass(frozen=True)
class FittedSteps:
    r"""Times and coefficients of few steps that imitate many.

    $z_{i+1} = w_i z_i + \sum_{j \le i} (a_{ij} \hat z_j + b_{ij} \delta_j)$

    $\hat z_j$ is the clean latent that the network predicts with the prompt at step j, and $\delta_j$ is how it differs
    from the prediction without the prompt. Only guided steps have one: guidance changes slowly, so later steps take
    over that of the steps before at half the passes. The coefficients are a regression on runs of many steps
    (`gainnet.training.fitted`), as those of DPM++ 2M are a Taylor expansion.

    Args:
        times: of the training, one per step, decreasing.
        guided: whether a step evaluates both branches.
        weights: one row per step: w, then a of every step so far, each followed by its b where that is guided.
    """

    times: tuple[int, ...]
    guided: tuple[bool, ...]
    weights: tuple[tuple[float, ...], ...]

    @property
    def num_passes(self) -> int:
        return len(self.times) + sum(self.guided)


@final
@dataclass(frozen=True)
class Fitted:
    """A draft by fitted steps.

    condition, latent (noise) --(network, fitted step) x num_steps--> draft

    Args:
        denoiser: whose network runs, guided.
        steps: times and coefficients, fitted to this very denoiser.
    """

    denoiser: Denoiser
    steps: FittedSteps
    role: Role = "denoiser"
    reads: tuple[str, ...] = ("condition", "latent")

    @property
    def name(self) -> str:
        return f"denoiser[fitted, passes={self.num_passes}]"

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {"draft": self.denoiser.latent}

    @property
    def num_passes(self) -> int:
        return self.steps.num_passes

    @property
    def flops(self) -> float:
        return self.denoiser.flops * self.num_passes / self.denoiser.num_passes

    @property
    def memory_bytes(self) -> float:
        return self.denoiser.memory_bytes

    @torch.no_grad()
    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        rank = len(random.batch)
        latent, condition = flatten_batch(tensors["latent"], rank), flatten_batch(tensors["condition"], rank)
        found: list[Tensor] = []
        for time, guided, weights in zip(self.steps.times, self.steps.guided, self.steps.weights, strict=True):
            found += predictions(self.denoiser, latent, condition, time, guided)
            latent = sum((w * x for w, x in zip(weights[1:], found, strict=True)), weights[0] * latent)
        return {"draft": latent.reshape(*random.batch, *latent.shape[1:])}


def predictions(denoiser: Denoiser, latent: Tensor, condition: Tensor, time: int, guided: bool) -> list[Tensor]:
    """Clean latents with the prompt [n, c, h, w] and, where guided, how they differ from those without it.

    Args:
        denoiser: whose network runs.
        latent: [n, c, h, w], of unit power.
        condition: [n, 2, tokens, width], without and with the prompt.
        time: of the training.
        guided: whether both branches are evaluated, in one batch.
    """
    levels, at = denoiser.sampler.levels, torch.tensor([time])
    embeds = condition.transpose(0, 1).flatten(0, 1) if guided else condition[:, -1]
    noisy = torch.cat([latent] * (1 + guided))
    clean, _ = levels.read(noisy, denoiser.predict(noisy, embeds, at[0].to(noisy.device)), levels.power(at))
    if not guided:
        return [clean]
    without, with_prompt = clean.chunk(2)
    return [with_prompt, with_prompt - without]


@final
@dataclass(frozen=True)
class FittedDrafts:
    """Fitted steps of a model by name, for one number of steps and one guidance.

    Args:
        model_sha256: of the model.
        num_steps: of the run that they imitate.
        guidance_scale: of that run.
        steps: by name, `fitted-K` for as many passes as K guided steps.
    """

    model_sha256: str
    num_steps: int
    guidance_scale: float
    steps: Mapping[str, FittedSteps]

    def fits(self, denoiser: Denoiser) -> bool:
        """Whether they imitate this run, from noise to the end."""
        own = denoiser.num_steps, denoiser.guidance_scale
        return denoiser.start == 0 and own == (self.num_steps, self.guidance_scale)

    def save(self, path: Path, how: Mapping[str, Any]) -> None:
        """Writes the file whole.

        Args:
            path: of the file.
            how: what made it.
        """
        write_json(path, {"schema": SCHEMA, **asdict(self), "trained": dict(how)})


def load_fitted(model: str, model_sha256: str) -> FittedDrafts | None:
    """The fitted steps of a model, of the user's data folder, else of the package; `None` where there are none.

    Args:
        model: name or folder of the model.
        model_sha256: digest that they have to fit.

    Raises:
        ModelError: the file is damaged.
    """
    path = find_fitted(model, model_sha256)
    return None if path is None else read_fitted(path)


def find_fitted(model: str, model_sha256: str) -> Path | None:
    """The file of the fitted steps that `load_fitted` reads; `None` where there are none.

    Args:
        model: as of `load_fitted`.
        model_sha256: likewise.

    Raises:
        ModelError: the file is damaged.
    """
    name = f"{Path(model).name}.json"
    places = user_folder() / "drafts" / name, Path(__file__).parent / "pretrained" / "drafts" / name
    path = next((path for path in places if path.is_file()), None)
    return path if path is not None and read_fitted(path).model_sha256 == model_sha256 else None


def read_fitted(path: Path) -> FittedDrafts:
    """The fitted steps of a file; raises `ModelError` where it is damaged."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        steps = {str(name): _steps(row) for name, row in read["steps"].items()}
        return FittedDrafts(str(read["model_sha256"]), int(read["num_steps"]), float(read["guidance_scale"]), steps)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"draft: {path} is damaged ({error!r}); make it with gainnet train correction") from None


def _steps(row: Mapping[str, Any]) -> FittedSteps:
    weights = tuple(tuple(float(w) for w in weights) for weights in row["weights"])
    return FittedSteps(tuple(int(t) for t in row["times"]), tuple(bool(g) for g in row["guided"]), weights)
