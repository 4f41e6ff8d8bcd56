"""What splitting costs: `eiug` over an ideal link beside diffusers' own pipeline, and the seconds that a picture takes.

Both draw the same prompts from the same latents with the same model, in turn, on one thread. Bars: the median processor
time of `eiug` within 1.05 times that of the pipeline, pictures equal to 1e-4, one picture over the air within 2 s.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from gainnet import Air, generate, load
from gainnet.codecs import Codecs, Float32, TextCodec
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.diffusion import DiffusionModel
from gainnet.network import DEVICE, EDGE, cell, profile
from gainnet.protocols import Eiug, execute
from gainnet.radio import Ideal

RATIO_BAR, DIFFERENCE_BAR, PICTURE_BAR_S = 1.05, 1e-4, 2.0
NUM_RUNS, NUM_PICTURES = 15, 3
PROMPTS = ("a red star above a blue house at sunset", "a green tree at night")


def ours(model: DiffusionModel) -> Callable[[], Tensor]:
    """Edge and device through the plan, the network and the ledger."""
    plan = Eiug().plan(model, Codecs(prompt=TextCodec(), seed=Float32()), (EDGE,))
    network = cell(profile("edge_a100"), profile("phone"), (Ideal(),), (Ideal(),))
    inputs = {(DEVICE, "prompt"): text_to_tensor(PROMPTS)}
    random = Random.of(range(len(PROMPTS)))
    return lambda: execute(plan, inputs, network, random)[0][plan.result]


def theirs(model: DiffusionModel) -> Callable[[], Tensor]:
    """diffusers' own call with the initial noise of the same random seeds."""
    noise = model.prior({}, Random.of(range(len(PROMPTS))))["latent"]
    denoiser = model.denoiser
    options = {"num_inference_steps": denoiser.num_steps, "guidance_scale": denoiser.guidance_scale}
    return lambda: model.pipeline(list(PROMPTS), latents=noise, output_type="pt", **options).images


def timed_s(run: Callable[[], Tensor]) -> float:
    """Processor time of one call."""
    begin_s = time.process_time()
    run()
    return time.process_time() - begin_s


def picture_s(model: DiffusionModel) -> float:
    """Median wall time of one picture over the air, model loaded, picture judged and compared."""
    durations_s = []
    for random_seed in range(NUM_PICTURES + 1):
        durations_s.append(generate(PROMPTS[0], model, air=Air(snr_db=0.0), random_seed=random_seed).wall_s)
    return median(durations_s[1:])


def main() -> int:
    """Exit code 1 when a bar is missed."""
    torch.set_num_threads(1)
    model = load()
    split, whole = ours(model), theirs(model)
    with torch.inference_mode():
        difference = float((split() - whole()).abs().max())
        pairs = [(timed_s(split), timed_s(whole)) for _ in range(NUM_RUNS)]
    split_s, whole_s = (median(column) for column in zip(*pairs, strict=True))
    measured = {"ratio": split_s / whole_s, "difference": difference, "picture_s": picture_s(model)}
    bars = {"ratio": RATIO_BAR, "difference": DIFFERENCE_BAR, "picture_s": PICTURE_BAR_S}
    print(f"eiug over an ideal link     {split_s:.3f} s for {len(PROMPTS)} pictures (processor time, median)")
    print(f"diffusers' own pipeline     {whole_s:.3f} s")
    print(f"ratio                       {measured['ratio']:.3f}     bar {RATIO_BAR}")
    print(f"largest difference          {difference:.1e}   bar {DIFFERENCE_BAR:.0e}")
    print(
        f"one picture over the air    {measured['picture_s']:.2f} s    bar {PICTURE_BAR_S} s (wall time, once loaded)"
    )
    print(json.dumps({"benchmark": "generation", **measured}))
    return int(any(measured[name] > bar for name, bar in bars.items()))


if __name__ == "__main__":
    sys.exit(main())
