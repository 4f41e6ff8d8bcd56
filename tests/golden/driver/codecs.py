"""Codecs on fixed tensors, without a link."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gainnet.codecs import ACTIVATION_CODECS, CODECS, Content, bind
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Spec
from gainnet.models.sketches import picture_sketch
from gainnet.protocols.budget import Budget
from gainnet.radio import AWGN, Air, Arq, Digital
from golden.driver.material import model, normal, picture
from golden.driver.values import of_payload, of_tensor, plain

PROMPTS = ("a red star above a blue house at sunset", "a green circle", "ein grüner Kreis, éà ☂")


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Promised size, payload and what is decoded from it.

    Args:
        case: `kind` and `codec`; `num_channel_uses` and `snr_db` of the link that a budget is for.
    """
    kind, snr = case["kind"], 10.0 ** (case.get("snr_db", 10.0) / 10.0)
    x = _tensor("edges" if case["codec"] == "edges" else kind)
    spec = Spec(tuple(x.shape[1:]))
    codec = _codec(kind, case["codec"], case.get("num_channel_uses"), snr)
    with torch.inference_mode():
        size = codec.size(spec)
        payload = codec.encode(x, torch.full((len(x),), snr))
        decoded = codec.decode(payload, spec)
    return {
        "size": plain([size.expected, size.upper]),
        "payload": of_payload(payload, is_text=kind == "prompt"),
        "decoded": of_tensor(decoded),
    }


def _codec(kind: Any, name: str, num_channel_uses: int | None, snr: float) -> Any:
    if kind == "activations":
        return ACTIVATION_CODECS[name]()
    link = Digital(Air(AWGN(), 10.0 * math.log10(snr)), arq=Arq(harq="none"))
    opened = model(2)
    signal, noise = opened.denoiser.sampler.amplitudes(1) if kind == "midway" else (1.0, 0.0)
    budget = None if num_channel_uses is None else Budget.of(link, num_channel_uses, 1 << 30, (snr,))
    content = Content(
        opened.latent, kind, opened.name, opened.sha256, PROMPTS, signal, noise, num_channel_uses, budget, (snr,)
    )
    return bind(CODECS[kind][name](), content)


def _tensor(kind: str) -> Tensor:
    if kind == "prompt":
        return text_to_tensor(PROMPTS)
    if kind == "activations":
        return normal((24, 16), kind)
    if kind in ("seed", "midway"):
        return normal(model(2).latent.shape, kind)
    pictures = torch.stack([picture(), picture().flip(-1), 1 - picture()])
    if kind == "image":
        return pictures
    if kind == "edges":
        return (normal((1, 128, 128), kind) > 1.5).float()
    small = picture_sketch(model(2).image).writes["sketch"].shape[-1]
    return torch.nn.functional.avg_pool2d(pictures, pictures.shape[-1] // small)
