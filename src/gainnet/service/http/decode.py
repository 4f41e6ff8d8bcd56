"""`POST /decode`: latents to pictures, as `diffusers.utils.remote_utils.remote_decode` asks for them."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Annotated, Any, Final, Literal

import torch
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response
from torch import Tensor

from gainnet.core.errors import PayloadError
from gainnet.core.outside import reading
from gainnet.service.engine import Engine, Engines
from gainnet.service.http.errors import RefusedError
from gainnet.service.http.picture import encoded_picture

MOST_LATENTS: Final = 16
DTYPES: Final = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def decode_router(engines: Engines) -> APIRouter:
    """The route `/decode`.

    Args:
        engines: of which the decoder of the model with latents of that shape runs.
    """
    router = APIRouter()

    @router.post("/decode", summary="Decode latents", response_class=Response)
    async def decode(
        request: Request,
        shape: Annotated[list[int], Query(max_length=4)],
        dtype: Literal["float32", "float16", "bfloat16"] = "float32",
        scaling_factor: Annotated[float | None, Query(gt=0.0, allow_inf_nan=False)] = None,
        shift_factor: Annotated[float | None, Query(allow_inf_nan=False)] = None,
        do_scaling: bool = False,
        output_type: Literal["pil", "pt"] = "pil",
        image_format: Literal["png", "jpg"] = "jpg",
        partial_postprocess: bool = False,
        accept: Annotated[str, Header()] = "",
    ) -> Response:
        """The body is a tensor [n, c, h, w], row-major, little-endian; so is the answer, or it is a picture."""
        engine = _engine_for(engines, tuple(shape))
        latents = _latents(await request.body(), tuple(shape), dtype, engine.model.latent.shape)
        if do_scaling:
            latents = latents / engine.model.pipeline.vae.config.scaling_factor
        if scaling_factor is not None:
            latents = latents / scaling_factor
        latents = latents + (shift_factor or 0.0)
        pixels = await asyncio.to_thread(_decoded, engine, latents)
        # With a processor at the client, diffusers wants tensors even of pictures; its Accept tells.
        if output_type == "pil" and accept.startswith("image/"):
            if len(pixels) != 1:
                raise RefusedError(400, "shape: one latent gives one file; ask for output_type=pt", param="shape")
            file = encoded_picture(pixels[0] / 2.0 + 0.5, "jpeg" if image_format == "jpg" else "png")
            return Response(file, media_type="image/jpeg" if image_format == "jpg" else "image/png")
        if partial_postprocess:
            return _tensor((pixels / 2.0 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1))
        if output_type == "pil":
            return _tensor((pixels / 2.0 + 0.5).clamp(0, 1))
        return _tensor(pixels.to(DTYPES[dtype]))

    return router


def _engine_for(engines: Engines, shape: tuple[int, ...]) -> Engine:
    """The engine of the model whose latents have that shape; the first where there is none, which then says so."""
    return next((engine for engine in engines.each if engine.model.latent.shape == shape[1:]), engines.first)


def _latents(content: bytes, shape: tuple[int, ...], dtype: str, latent: tuple[int, ...]) -> Tensor:
    """[n, *latent], float32, as it was sent; raises `RefusedError` for anything else."""
    kind = DTYPES[dtype]
    if len(shape) != 4 or shape[1:] != latent or not 1 <= shape[0] <= MOST_LATENTS:
        wanted = ", ".join(map(str, latent))
        raise RefusedError(400, f"shape: it must be [n, {wanted}] with n from 1 to {MOST_LATENTS}", param="shape")
    if len(content) != math.prod(shape) * kind.itemsize:
        raise RefusedError(400, "body: its length is not that of the shape", "invalid_value")
    with reading("body", PayloadError):
        latents = torch.frombuffer(bytearray(content), dtype=kind).reshape(shape).float()
    if not bool(torch.isfinite(latents).all()):
        raise RefusedError(400, "body: it holds a value that is not finite", "invalid_value")
    return latents


def _decoded(engine: Engine, latents: Tensor) -> Tensor:
    with engine.request(), torch.inference_mode():
        pixels: Any = engine.model.pipeline.vae.decode(latents, return_dict=False)[0]
    return torch.as_tensor(pixels)


def _tensor(x: Tensor) -> Response:
    """A tensor [...] with the headers by which the client reads it."""
    headers = {"shape": json.dumps(list(x.shape)), "dtype": str(x.dtype).removeprefix("torch.")}
    content = x.contiguous().view(torch.uint8).numpy().tobytes()
    return Response(content, media_type="tensor/binary", headers=headers)
