"""The two ends of the scale: everything on the edge, and everything on the device."""

from __future__ import annotations

from gainnet.codecs.codec import AnyCodec
from gainnet.models.diffusion import DiffusionModel
from gainnet.network.scenario import DEVICE, EDGE
from gainnet.protocols.plan import Compute, Plan, Transfer


def centralized(model: DiffusionModel, prompt_codec: AnyCodec, image_codec: AnyCodec) -> Plan:
    """The edge generates, the air carries the coded image (baseline).

    device: prompt ==up==> edge: text encoder, prior, denoiser, decoder ==image down==> device
    """
    return Plan(
        (
            Transfer(DEVICE, (EDGE,), "prompt", prompt_codec),
            *(Compute(EDGE, part) for part in model.parts),
            Transfer(EDGE, (DEVICE,), "image", image_codec),
        ),
        result=(DEVICE, "image"),
    )


def device_only(model: DiffusionModel) -> Plan:
    """The device generates alone, nothing is sent (baseline)."""
    return Plan(tuple(Compute(DEVICE, part) for part in model.parts), result=(DEVICE, "image"))
