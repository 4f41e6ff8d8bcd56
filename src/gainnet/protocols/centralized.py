"""The two ends of the scale: everything on the edge, and everything on the device."""

from __future__ import annotations

from gainnet.codecs.codec import AnyCodec
from gainnet.models.diffusion import DiffusionModel
from gainnet.network.scenario import DEVICE, EDGE
from gainnet.protocols.plan import Compute, Plan, Transfer
from gainnet.protocols.rescue import resilient
from gainnet.protocols.task import IMAGE, Task


def centralized(
    model: DiffusionModel, prompt_codec: AnyCodec, image_codec: AnyCodec, strength: float | None = None
) -> Plan:
    """The edge generates, the air carries the coded image (baseline).

    device: prompt (and coded picture) ==up==> edge: everything ==image down==> device

    Args:
        model: whose parts run.
        prompt_codec: carries the prompt.
        image_codec: carries the image down, and the picture up when there is one.
        strength: of image-to-image.
    """
    task = Task.of(model, strength)
    picture = () if task.encoder is None else (Transfer(DEVICE, (EDGE,), "picture", image_codec),)
    encoded = () if task.encoder is None else (Compute(EDGE, task.encoder),)
    steps = (
        Transfer(DEVICE, (EDGE,), "prompt", prompt_codec),
        *picture,
        *encoded,
        Compute(EDGE, task.begin()),
        *task.infer(EDGE, 0, task.num_steps),
        Compute(EDGE, model.decoder),
        Transfer(EDGE, (DEVICE,), "image", image_codec),
    )
    return resilient(Plan(steps, IMAGE), task, (EDGE,))


def device_only(model: DiffusionModel, strength: float | None = None) -> Plan:
    """The device generates alone, nothing is sent (baseline)."""
    return Plan(Task.of(model, strength).whole(DEVICE), IMAGE)
