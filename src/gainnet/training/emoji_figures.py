"""Figures of the emoji model while its denoiser trains: what each hour of processor time gained."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from gainnet.core.files import write_whole
from gainnet.models.emoji.album import Album
from gainnet.models.emoji.captions import Wording
from gainnet.models.emoji.names import outside_denoiser
from gainnet.training.autoencoder import torch_stream
from gainnet.training.denoiser import NAME
from gainnet.training.emoji_evaluation import ask, nearest, score
from gainnet.training.loop import Progress

FILE: Final = "figures.jsonl"
NUM_TIMES: Final = 11
"""How often in a training they are taken: at the default preset every 3,200 steps, several times an hour."""
NUM_CAPTIONS, BATCH_SIZE = 60, 20


@torch.no_grad()
def figures_of(
    pipeline: Any, album: Album, wordings: Sequence[Wording], latents: Tensor, generation: Mapping[str, Any]
) -> dict[str, Any]:
    """Scores of samples of 60 seen and 60 held-out captions, by the picture whose latent is nearest.

    Latents take a tenth of the time of features and rank the same way, but they are what the model was trained on:
    the study `emoji-fidelity` judges the finished model by features that it never saw.

    Args:
        pipeline: diffusers' pipeline of the model as it is by now.
        album: all pictures.
        wordings: what each may be called.
        latents: [n, c, h, w], of all pictures.
        generation: steps and guidance, as `gainnet.json` has them.
    """
    found: dict[str, Any] = {}
    kept_out = [outside_denoiser(shown) for shown in album.shown]
    for name, held_out in (("seen", False), ("held_out", True)):
        # A training that only tries the code may hold nothing out.
        if held_out not in kept_out:
            continue
        asked = ask(album, wordings, held_out, NUM_CAPTIONS, 0)
        samples = []
        for start in range(0, len(asked.captions), BATCH_SIZE):
            captions = list(asked.captions[start : start + BATCH_SIZE])
            noise = [
                torch.randn(latents.shape[1:], generator=torch_stream(0, "emoji figures", start + k))
                for k in range(len(captions))
            ]
            settings = {key: generation[key] for key in ("num_inference_steps", "guidance_scale")}
            samples.append(pipeline(captions, latents=torch.stack(noise), output_type="latent", **settings).images)
        near = nearest(torch.cat(samples).float().flatten(1), latents.float().flatten(1))
        found[name] = score(near, asked.pictures, album.shown)
    return found


def with_figures(progress: Progress, path: Path, take: Callable[[], dict[str, Any]]) -> Progress:
    """A progress that also takes figures of the denoiser now and then and keeps them, a line of JSON each.

    Args:
        progress: receives (stage, steps taken, steps in all, mean loss), as before.
        path: of the file; what an interrupted training wrote stays.
        take: measures the denoiser as it is by now, and says what processor time its training has taken.
    """

    def tell(stage: str, step: int, num_steps: int, loss: float) -> None:
        progress(stage, step, num_steps, loss)
        if stage == NAME and step % max(num_steps // NUM_TIMES, 1) == 0:
            keep_line(path, {"step": step, "loss": loss, **take()})

    return tell


def keep_line(path: Path, line: Mapping[str, Any]) -> None:
    """Adds figures to a file; those of the same step, as before a kill, are replaced."""
    others = [each for each in read_figures(path) if each["step"] != line["step"]]
    lines = sorted([*others, line], key=lambda each: int(each["step"]))
    write_whole(path, "".join(f"{json.dumps(each)}\n" for each in lines).encode())


def read_figures(path: Path) -> list[dict[str, Any]]:
    """The figures of a file, in the order of their steps; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
