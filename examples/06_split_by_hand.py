"""A protocol of one's own: the edge denoises up to a cut, the device finishes what arrived.

device: prompt ==up==> edge: text encoder, prior, denoiser[:cut] ==latent down==> device: denoiser[cut:], decoder
"""

import torch

from gainnet import load
from gainnet.codecs import Codecs, RawAnalog, SeedBasis, TextCodec
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Spec
from gainnet.core.units import psnr_db_of_mse
from gainnet.models.diffusion import DiffusionModel
from gainnet.network import DEVICE, EDGE, cell, profile
from gainnet.protocols import Compute, DeviceOnly, Plan, Transfer, estimate, execute, pricing
from gainnet.radio import AWGN, Air, Analog, Digital

PROMPTS = text_to_tensor(["a red star above a blue house at sunset"])


def finish_on_device(model: DiffusionModel, seed_codec: RawAnalog, cut: int) -> Plan:
    """The first `cut` denoising steps on the edge, the others on the device, which encodes the prompt itself."""
    return Plan(
        (
            Transfer(DEVICE, (EDGE,), "prompt", TextCodec(expected_bytes=PROMPTS.shape[-1])),
            Compute(EDGE, model.text_encoder),
            Compute(EDGE, model.prior),
            Compute(EDGE, model.denoiser[:cut]),
            Transfer(EDGE, (DEVICE,), "latent", seed_codec),
            Compute(DEVICE, model.text_encoder),
            Compute(DEVICE, model.denoiser[cut:]),
            Compute(DEVICE, model.decoder),
        ),
        result=(DEVICE, "image"),
    )


model, random, given = load(), Random.of([7]), (DEVICE, "prompt")
air = (Digital(Air(AWGN(), 10.0)), Analog(Air(AWGN(), 10.0)))
network = cell(profile("edge_a100"), profile("phone"), up=air, down=air)
seed_codec = RawAnalog(scale=SeedBasis.load(model.name, model.sha256).root_mean_square)
whole, _ = execute(DeviceOnly().plan(model, Codecs(), (EDGE,)), {given: PROMPTS}, network, random)
reference = whole[DEVICE, "image"]

print("steps on the edge   PSNR dB   time_s   estimated_s   energy_j")
for cut in (4, 7, 10):
    plan = finish_on_device(model, seed_codec, cut)
    with torch.no_grad():
        places, report = execute(plan, {given: PROMPTS}, network, random, pricing("sd15"))
    expected = estimate(plan, {given: Spec(tuple(PROMPTS.shape[1:]))}, network, pricing("sd15"))
    psnr_db = psnr_db_of_mse((places[plan.result] - reference).square().mean())
    print(f"{cut:17} {psnr_db:9.2f} {report.duration_s:8.3f} {expected.duration_s:13.3f} {report.energy_j:10.1f}")
