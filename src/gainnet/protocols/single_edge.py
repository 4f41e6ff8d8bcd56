"""Mobile edge generation with one edge and one device."""

from __future__ import annotations

from gainnet.codecs.codec import AnyCodec
from gainnet.models.diffusion import DiffusionModel
from gainnet.network.scenario import DEVICE, EDGE
from gainnet.protocols.plan import Compute, Plan, Transfer


def eiug(model: DiffusionModel, prompt_codec: AnyCodec, seed_codec: AnyCodec) -> Plan:
    """Edge inferencing, user-equipment generating (Zhong et al. 2024; expansion of the acronym inferred).

    device: prompt ==up==> edge: text encoder, prior, denoiser ==seed down==> device: decoder
    """
    return Plan(
        (
            Transfer(DEVICE, (EDGE,), "prompt", prompt_codec),
            Compute(EDGE, model.text_encoder),
            Compute(EDGE, model.prior),
            Compute(EDGE, model.denoiser),
            Transfer(EDGE, (DEVICE,), "latent", seed_codec),
            Compute(DEVICE, model.decoder),
        ),
        result=(DEVICE, "image"),
    )
