"""Guidance on two edges for real: two processes, a socket between them, a branch each, wall time against one process.

Both processes hold the model and the same noise; in every step each predicts its branch, sends it to the other as
float32 and combines both. Bars: pictures equal to those of one process to 1e-4; wall time at most 0.85 times that of
one process, where two cores are free (a busy machine is named and not judged by time).
"""

from __future__ import annotations

import json
import multiprocessing as mp
import os
import sys
import time
from multiprocessing.connection import Connection
from statistics import median

import numpy as np
import torch
from torch import Tensor

from gainnet import load
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.guidance import branches

DIFFERENCE_BAR, RATIO_BAR = 1e-4, 0.85
NUM_RUNS = 7
PROMPTS = ("a red star above a blue house at sunset", "a green tree at night") * 4
RANDOM = Random.of(range(len(PROMPTS)))


def begin(model: DiffusionModel) -> dict[str, Tensor]:
    """Condition and noise, the same on every edge."""
    tensors = {"prompt": text_to_tensor(PROMPTS)}
    for part in (model.text_encoder, model.prior):
        tensors |= part(tensors, RANDOM)
    return tensors


def exchanged(peer: Connection, mine: Tensor) -> Tensor:
    """The tensor of the other edge for one's own; raw float32, nothing is pickled."""
    peer.send_bytes(mine.numpy().astype("<f4").tobytes())
    return torch.from_numpy(np.frombuffer(peer.recv_bytes(), dtype="<f4").copy()).reshape(mine.shape)


def together(model: DiffusionModel, peer: Connection, branch: int) -> Tensor:
    """The finished latent, of which this edge predicted one branch in every step."""
    tensors = begin(model)
    for index in range(model.denoiser.num_steps):
        parts = branches(model.denoiser, index)
        tensors |= (parts.without, parts.with_prompt)[branch](tensors, RANDOM)
        names = ("predicted_without", "predicted_with")
        tensors[names[1 - branch]] = exchanged(peer, tensors[names[branch]])
        tensors |= parts.combined(tensors, RANDOM)
    return tensors["latent"]


def serve(peer: Connection) -> None:
    """The second edge: one generation per request, until an empty one."""
    torch.set_num_threads(1)
    model = load()
    peer.send_bytes(b"ready")
    with torch.inference_mode():
        while peer.recv_bytes():
            together(model, peer, branch=1)


def alone(model: DiffusionModel) -> Tensor:
    """The finished latent of one edge."""
    tensors = begin(model)
    return model.denoiser(tensors, RANDOM)["latent"]


def timed(run) -> tuple[float, Tensor]:  # type: ignore[no-untyped-def]
    """Wall time and outcome of a call."""
    begin_s = time.perf_counter()
    made = run()
    return time.perf_counter() - begin_s, made


def main() -> int:
    """Exit code 1 when a bar is missed."""
    torch.set_num_threads(1)
    context = mp.get_context("spawn")
    peer, theirs = context.Pipe()
    other = context.Process(target=serve, args=(theirs,))
    other.start()
    model = load()
    peer.recv_bytes()

    def two() -> Tensor:
        peer.send_bytes(b"go")
        return together(model, peer, branch=0)

    with torch.inference_mode():
        pairs = [(timed(two), timed(lambda: alone(model))) for _ in range(NUM_RUNS)]
        images = [model.decoder({"latent": run[1]}, RANDOM)["image"] for run in pairs[0]]
    peer.send_bytes(b"")
    other.join()
    two_s, one_s = (median(run[index][0] for run in pairs) for index in (0, 1))
    difference = float((images[0] - images[1]).abs().max())
    busy = os.getloadavg()[0] > max((os.cpu_count() or 1) - 1, 2.5)
    print(f"one process            {one_s:.3f} s for {len(PROMPTS)} pictures (wall time, median of {NUM_RUNS})")
    print(f"two processes          {two_s:.3f} s")
    print(
        f"ratio                  {two_s / one_s:.3f}     bar {RATIO_BAR}{' (busy machine, not judged)' if busy else ''}"
    )
    print(f"largest difference     {difference:.1e}   bar {DIFFERENCE_BAR:.0e}")
    print(json.dumps({"benchmark": "guidance", "ratio": two_s / one_s, "difference": difference, "busy": busy}))
    return int(difference > DIFFERENCE_BAR or (two_s / one_s > RATIO_BAR and not busy))


if __name__ == "__main__":
    sys.exit(main())
