"""The baseline: diffusers' pipeline behind FastAPI with a lock, as people write it; or with batches of whole requests.

    python -m gainnet.studies.serving.locked [most requests per call of the pipeline]

One line of JSON with the address says that it is ready.
"""

from __future__ import annotations

import io
import json
import queue
import socket
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.responses import Response

from gainnet.models.loading import find_folder, generation_defaults
from gainnet.models.quiet import quiet


class Prompt(BaseModel):
    """Body of a client's request."""

    prompt: str
    random_seed: int
    num_steps: int


def open_pipeline() -> Any:
    """The shipped model as diffusers loads it."""
    with quiet():
        from diffusers import StableDiffusionPipeline

        pipeline = StableDiffusionPipeline.from_pretrained(
            find_folder("scenes"), safety_checker=None, requires_safety_checker=False, dtype=torch.float32
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(pipeline: Any, asked: Sequence[Prompt], guidance_scale: float) -> list[bytes]:
    """A PNG file per request, in one call of the pipeline."""
    generators = [torch.Generator().manual_seed(each.random_seed) for each in asked]
    images = pipeline(
        [each.prompt for each in asked], num_inference_steps=asked[0].num_steps, guidance_scale=guidance_scale,
        generator=generators,
    ).images  # fmt: skip
    files = [io.BytesIO() for _ in images]
    for image, file in zip(images, files, strict=True):
        image.save(file, "PNG")
    return [file.getvalue() for file in files]


def locked(pipeline: Any, guidance_scale: float) -> FastAPI:
    """One request at a time."""
    made, lock = FastAPI(), threading.Lock()

    @made.post("/generate")
    def generate(asked: Prompt) -> Response:
        with lock:
            (file,) = draw(pipeline, [asked], guidance_scale)
        return Response(file, media_type="image/png")

    return made


def batching(pipeline: Any, guidance_scale: float, most: int) -> FastAPI:
    """As many requests at a time as wait when the pipeline is free."""
    made, waiting = FastAPI(), queue.Queue[tuple[Prompt, Future[bytes]]]()

    def work() -> None:
        while True:
            taken = [waiting.get()]
            while len(taken) < most and not waiting.empty():
                taken.append(waiting.get())
            files = draw(pipeline, [asked for asked, _ in taken], guidance_scale)
            for (_, outcome), file in zip(taken, files, strict=True):
                outcome.set_result(file)

    threading.Thread(target=work, daemon=True).start()

    @made.post("/generate")
    def generate(asked: Prompt) -> Response:
        outcome = Future[bytes]()
        waiting.put((asked, outcome))
        return Response(outcome.result(), media_type="image/png")

    return made


def main(most: int) -> None:
    """Serves until it is killed."""
    torch.set_num_threads(1)
    pipeline, scale = open_pipeline(), float(generation_defaults(find_folder("scenes"))["guidance_scale"])
    draw(pipeline, [Prompt(prompt="a star", random_seed=0, num_steps=2)], scale)
    made = locked(pipeline, scale) if most == 1 else batching(pipeline, scale, most)
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as bound:
        sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{bound.getsockname()[1]}/"}) + "\n")
        sys.stdout.flush()
        uvicorn.Server(uvicorn.Config(made, log_level="warning", access_log=False)).run([bound])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
