"""The opponent of a device's picture: the best image codec over the same air, in the same channel uses."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gainnet.catalog import parse
from gainnet.catalog.opening import open_request
from gainnet.codecs import Codecs
from gainnet.core.errors import GainnetError, PayloadError
from gainnet.core.types import Spec
from gainnet.generation import estimate
from gainnet.generation.generate import Generation, png
from gainnet.generation.memory import Memory
from gainnet.models.diffusion import DiffusionModel
from gainnet.protocols import Centralized
from gainnet.service.node.order import read_asked


def opponent(
    head: Mapping[str, Any], model_with: Callable[[int | None, float | None], DiffusionModel], memory: Memory
) -> dict[str, Any]:
    """The opponent's picture, and how good both are, for the request of a device.

    What a device gets equals a simulated generation, so one is run again here: with the channel-free picture at hand,
    both can be judged, while the device is sent no picture but the opponent's. Steps of the denoiser that the device's
    own request has taken are remembered.

    Args:
        head: of the device's request: `config`, `strength`, and `picture` in base64, [3, H, W] bytes, or `null`.
        model_with: the model with so many steps and such guidance, its own when `None`.
        memory: of the denoisers of devices' requests.

    Returns:
        `own_psnr_db` of the device's picture, dB, `null` when exact; its `prompt_fidelity`, `reference_fidelity` of the
        channel-free one, `null` where nothing judges them; `name` of the codec, `null` where the device gets
        a picture itself or the air is ideal; its `psnr_db`, `num_channel_uses`, `png` in base64, and what the same
        picture would cost as a file, modelled: `duration_s` and `energy_j`.

    Raises:
        GainnetError: the request is wrong.
    """
    asked = read_asked(head)
    model = model_with(asked.config.num_steps, asked.config.guidance_scale)
    picture = None if asked.strength is None else _picture(head.get("picture"), model.image)
    request = replace(open_request(asked.config, model), strength=asked.strength, picture=picture)
    with torch.inference_mode():
        generation = request.generate(memory=memory)
    judged = generation.quality
    found: dict[str, Any] = {
        "name": None,
        "own_psnr_db": judged.psnr_db,
        "prompt_fidelity": judged.prompt_fidelity,
        "reference_fidelity": judged.reference_fidelity,
    }
    if (best := generation.baseline) is None:
        return found
    uses = generation.report.num_channel_uses("down") / len(generation.prompts)
    return found | {
        "name": best.name,
        "psnr_db": best.psnr_db_equal_uses,
        "num_channel_uses": uses,
        "png": base64.b64encode(png(best.image)).decode(),
        **_cost(generation, request.air, model, best.name, max(int(uses), 1), asked.strength),
    }


def _cost(
    generation: Generation, air: Any, model: DiffusionModel, codec: str, num_channel_uses: int, strength: float | None
) -> dict[str, float | None]:
    """Modelled time and energy of the picture as a file; `None` where such a file cannot be sent."""
    try:
        report = estimate(
            Centralized(), model, prompts=generation.prompts, codecs=Codecs(image=parse("codec.image", codec)),
            air=air, num_channel_uses=num_channel_uses, strength=strength,
        )  # fmt: skip
    except GainnetError:
        return {"duration_s": None, "energy_j": None}
    return {"duration_s": report.duration_s, "energy_j": report.energy_j}


def _picture(text: object, spec: Spec) -> Tensor:
    """[3, H, W] in [0, 1], of its bytes in base64."""
    try:
        content = base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise PayloadError("picture: it must be base64") from None
    if len(content) != spec.num_values:
        raise PayloadError(f"picture: it must have {spec.num_values} bytes, not {len(content)}")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(spec.shape).float() / 255
