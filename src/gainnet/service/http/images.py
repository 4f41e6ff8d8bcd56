"""Pictures as OpenAI's clients ask for them: `/v1/images/generations`, `/v1/images/edits`, `/v1/models`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Final, Literal, final, get_args

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response, StreamingResponse

from gainnet.catalog.deciding import decided, wanted_of
from gainnet.catalog.records import NO_NEGATIVE
from gainnet.core.errors import ConfigError, GainnetError
from gainnet.core.outside import read_json
from gainnet.generation.decision import usable_table
from gainnet.generation.decision.choice import Goal
from gainnet.models.diffusion import DiffusionModel
from gainnet.service.engine import Engine, Engines
from gainnet.service.http.errors import RefusedError, refusal_of
from gainnet.service.http.jobs import MODEL, NAMES_PROMPT, Job, Jobs, Wanted
from gainnet.service.node.order import Asked, read_asked

MOST_IMAGES: Final = 10
LONGEST_KEY: Final = 255
DECIDING: Final[tuple[str, ...]] = ("decide", "max_latency_s", "max_energy_j", "min_psnr_db")
"""Fields of a request that asks for a decision, in the place of protocol and codecs."""
IDEAL: Final = {"protocol": "centralized", "fading": "ideal"}
"""What a client gets that says nothing of radio: the picture as the edge has it."""
FOREIGN: Final = {
    "negative_prompt": NO_NEGATIVE,
    "seed": "it is called random_seed here; give it within gainnet",
    "num_inference_steps": "it is called num_steps here; give it within gainnet",
    "mask": "the whole picture is changed; leave it out, and say how much by gainnet[strength]",
}
"""Fields that ask for another picture than is made here, and what to give."""
SILENT: Final = ("user", "safety_identifier")
"""Fields of OpenAI's that say nothing about the picture."""
MOST_NAMED: Final = 16
"""Fields without effect that an answer names; a request may have any number."""
EXAMPLES: Final[dict[str, Any]] = {
    "plain": {"summary": "One picture", "value": {"model": "scenes", "prompt": "a red star above a blue house"}},
    "over the air": {
        "summary": "The same seed over a noisy air",
        "value": {
            "model": "scenes",
            "prompt": "a red star above a blue house",
            "gainnet": {"protocol": "eiug", "snr_db": 5.0, "num_channel_uses": 512, "random_seed": 7},
        },
    },
    "watched": {
        "summary": "Partial pictures as server-sent events",
        "value": {"prompt": "a green circle at night", "stream": True, "partial_images": 2},
    },
}


@final
class ImageRequest(BaseModel):
    """A request of OpenAI's API; fields that say how a picture should look beyond its prompt have no effect."""

    # What is no field here may be one of OpenAI's, of which there are more every year.
    model_config = ConfigDict(extra="allow")

    prompt: Annotated[str, Field(min_length=1, max_length=2048)]
    model: str | None = None
    n: Annotated[int, Field(ge=1, le=MOST_IMAGES)] | None = None
    size: str | None = None
    response_format: Literal["b64_json", "url"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    stream: bool | None = None
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
    gainnet: dict[str, Any] | None = None
    negative_prompt: SkipJsonSchema[Any] = None
    seed: SkipJsonSchema[Any] = None
    num_inference_steps: SkipJsonSchema[Any] = None
    mask: SkipJsonSchema[Any] = None

    # OpenAI's fields that have no effect say how a picture looks; these say which picture it is.
    @field_validator(*FOREIGN)
    @classmethod
    def refuse_foreign(cls, value: Any, field: ValidationInfo) -> None:
        """Raises `PydanticCustomError` for a value in a field of other servers, with what to give instead."""
        if value is not None:
            raise PydanticCustomError("foreign", FOREIGN[str(field.field_name)])

    @property
    def ignored(self) -> list[str]:
        """Names of the fields that were given and have no effect."""
        extra = {name: value for name, value in (self.model_extra or {}).items() if value not in (None, "", "auto")}
        if extra.get("background") == "opaque":
            del extra["background"]
        if self.partial_images and not self.stream:
            extra["partial_images"] = self.partial_images
        if self.response_format == "url" and self.stream:
            extra["response_format"] = self.response_format
        return [name[:40] for name in extra if name not in SILENT][:MOST_NAMED]

    def wanted(self, engines: Engines, strength: float | None = None) -> Wanted:
        """The request in plain values; without a model it is that which knows most words of the prompt.

        Args:
            engines: of the edge.
            strength: of a picture's change, above 0 to 1; text-to-image when `None`.

        Raises:
            RefusedError: the edge has no such model or size.
        """
        model = (_named(engines, self.model) if self.model else engines.suited([self.prompt])).model
        size = "x".join(map(str, reversed(model.image.shape[1:])))
        if self.size not in (None, "auto", size):
            raise RefusedError(400, f"size: the model makes {size}; give that or auto", "invalid_value", "size")
        extra = dict(self.gainnet or {})
        within_s = extra.pop("within_s", 60.0)
        if type(within_s) not in (int, float) or not 0.0 < within_s <= 86_400.0:
            raise RefusedError(400, "within_s: give seconds, above 0 to 86400", "invalid_value", "within_s")
        strength = extra.pop("strength", strength) if strength is not None else None
        named: dict[str, Any] = {NAMES_PROMPT: True} if extra.pop(NAMES_PROMPT, False) in (True, 1) else {}
        # Only another model than the first, so that requests of an edge with one model stay what they were.
        named |= {} if model is engines.first.model else {MODEL: model.name}
        air = {} if extra.keys() & {"protocol", "fading", "snr_db"} else IDEAL
        drawn = {"random_seed": secrets.randbelow(2**31), "runtime": model.runtime}
        config = {**drawn, **air, **extra, "prompts": [self.prompt] * (self.n or 1)}
        if "decide" in extra:
            if model.name != usable_table().model:
                raise RefusedError(400, f"decide: nothing was measured of {model.name}", "invalid_value", "decide")
            config = _decided({name: x for name, x in config.items() if name not in IDEAL or name in extra}, engines)
        return Wanted({"config": config, "strength": strength, **named}, self.output_format or "png", float(within_s))


def _decided(config: dict[str, Any], engines: Engines) -> dict[str, Any]:
    """The configuration that tables choose for a request with `decide` and bounds, and for what waits here."""
    bounds = {name: config.pop(name) for name in DECIDING if name in config}
    if bounds["decide"] not in get_args(Goal):
        raise RefusedError(400, "decide: choose latency, energy or uses", "invalid_value", "decide")
    found, _ = decided(read_asked({"config": config}).config, wanted_of(bounds), engines.backlog_s)
    return {**config, **Asked(found).to_json()["config"]}


def images_router(jobs: Jobs) -> APIRouter:
    """The routes of pictures and models.

    Args:
        jobs: that make the pictures.
    """
    router = APIRouter(prefix="/v1")
    engines = jobs.engines

    @router.post("/images/generations", summary="Make pictures")
    async def generations(request: Request, body: Annotated[ImageRequest, Body(openapi_examples=EXAMPLES)]) -> Response:
        """Pictures of a prompt; `gainnet` takes the options of `gainnet generate`, for example protocol and snr_db."""
        return await _answered(jobs, request, body, body.wanted(engines), b"", "image_generation")

    @router.post("/images/edits", summary="Change a picture", openapi_extra=_EDITS)
    async def edits(request: Request) -> Response:
        """A picture changed towards a prompt (image-to-image); `gainnet[strength]` says by how much."""
        # Two files, so that a mask is refused by its name.
        async with request.form(max_files=2, max_fields=64, max_part_size=64 << 10) as form:
            body, content = await _form(form)
        return await _answered(jobs, request, body, body.wanted(engines, 0.6), content, "image_edit")

    @router.get("/images/results/{request_id}/{index}", summary="One picture of a finished request")
    async def result(request_id: str, index: int) -> Response:
        """The file that `response_format: url` points to."""
        entry = await asyncio.to_thread(jobs.journal.find, request_id[:64])
        data = [] if entry is None or entry.result is None else json.loads(entry.result).get("data", [])
        if not 0 <= index < len(data):
            raise RefusedError(404, "result: there is none of that id", "not_found")
        content = base64.b64decode(data[index]["b64_json"])
        return Response(content, media_type=f"image/{json.loads(entry.result)['output_format']}")  # type: ignore[union-attr, arg-type]

    @router.get("/models", summary="The models of this edge")
    def models() -> dict[str, Any]:
        """As OpenAI's clients list models."""
        return {"object": "list", "data": [_described(engine.model) for engine in engines.each]}

    @router.get("/models/{name}", summary="One model")
    def one(name: str) -> dict[str, Any]:
        """As OpenAI's clients ask for one model."""
        return _described(_named(engines, name).model)

    return router


_EDITS: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image", "prompt"],
                    "properties": {
                        "image": {"type": "string", "format": "binary"},
                        "prompt": {"type": "string", "example": "a blue house at night"},
                        "n": {"type": "integer", "example": 1},
                        "gainnet[strength]": {"type": "number", "example": 0.6},
                    },
                }
            }
        },
    }
}


async def _form(form: FormData) -> tuple[ImageRequest, bytes]:
    """A multipart form as the fields of a request, and the content of its picture."""
    files = [*form.getlist("image"), *form.getlist("image[]")]
    if len(files) > 1:
        raise RefusedError(400, "image: one picture is changed at a time; give one", "invalid_value", "image")
    if not files or not isinstance(file := files[0], UploadFile):
        raise RefusedError(400, "image: a file is missing", "missing_required_parameter", "image")
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for key, value in form.items():
        if value is file:
            continue
        if not isinstance(value, str):
            # An upload beside the picture, as a mask: the name of its field decides whether it is refused.
            fields[key] = value.filename or "file"
            continue
        # `gainnet[random_seed]=7`, as OpenAI's client writes what its extra_body nests.
        name, bracket, inner = key.partition("[")
        if name == "gainnet" and bracket:
            extra[inner.removesuffix("]")] = _plain(value)
        else:
            fields[key] = read_json(value, "gainnet") if key == "gainnet" else value
    if extra:
        fields["gainnet"] = {**fields.get("gainnet", {}), **extra}
    try:
        return ImageRequest.model_validate(fields), await file.read()
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        raise RefusedError(422, f"{field}: {first['msg']}", "invalid_value", field) from None


def _plain(text: str) -> Any:
    """A value of a form: a number where it is one."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


async def _answered(
    jobs: Jobs, request: Request, body: ImageRequest, wanted: Wanted, picture: bytes, event: str
) -> Response:
    """The answer to a request, when its job is done; or the stream of its events."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= LONGEST_KEY:
        raise RefusedError(400, f"Idempotency-Key: give 1 to {LONGEST_KEY} characters", "invalid_value")
    given = body.gainnet or {}
    if key is not None and "random_seed" not in given:
        # A retry must be the same request, so that its seed comes from the key.
        config = {**wanted.asked["config"], "random_seed": int.from_bytes(_digest(key)[:4]) >> 1}
        wanted = Wanted({**wanted.asked, "config": config}, wanted.output_format, wanted.deadline_s)
    caller = getattr(request.state, "caller", "")
    # Of the caller as well, so that a guessed key shows nobody the picture of another one.
    request_id = "i-" + (uuid.uuid4().hex if key is None else _digest(caller, key).hex()[:32])
    options: dict[str, Any] = {"picture": picture, "is_kept": key is not None}
    if body.stream:
        return _streamed(jobs, request, body, (request_id, wanted, options), event)
    job = jobs.start(request_id, wanted, **options)
    result = await _outcome(job, request)
    if body.response_format == "url":
        result = _with_urls(result, f"{request.base_url}v1/images/results/{request_id}")
    return Response(_with_ignored(result, body.ignored), media_type="application/json")


async def _outcome(job: Job, request: Request) -> bytes:
    """Result of a job; a client that goes away without a key to come back with takes its request along."""
    outcome: asyncio.Future[Any] = asyncio.wrap_future(job.outcome)
    # After the body, the only thing that can still come from a client is its end.
    gone: asyncio.Future[Any] = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((outcome, gone), return_when=asyncio.FIRST_COMPLETED)
        if not outcome.done() and not job.is_kept:
            job.cancel()
        result: bytes = await asyncio.shield(outcome)
        return result
    finally:
        gone.cancel()


def _streamed(
    jobs: Jobs, request: Request, body: ImageRequest, start: tuple[str, Wanted, dict[str, Any]], event: str
) -> Response:
    """Server-sent events: partial pictures, then one event per finished picture, or an error."""
    loop, events = asyncio.get_running_loop(), asyncio.Queue[tuple[int, bytes]]()
    request_id, wanted, options = start

    def show(index: int, content: bytes) -> None:
        loop.call_soon_threadsafe(events.put_nowait, (index, content))

    job = jobs.start(request_id, wanted, show=show, num_partial=body.partial_images or 0, **options)
    engine = jobs.engines.named(wanted.asked.get(MODEL))
    size = "x".join(map(str, reversed(engine.model.image.shape[1:])))
    shared = {"size": size, "quality": "auto", "background": "opaque", "output_format": wanted.output_format}

    def written(kind: str, b64: str, **fields: Any) -> bytes:
        values = {"type": kind, "b64_json": b64, "created_at": int(time.time()), **shared, **fields}
        return f"event: {kind}\ndata: {json.dumps(values)}\n\n".encode()

    async def stream() -> AsyncIterator[bytes]:
        outcome: asyncio.Future[Any] = asyncio.wrap_future(job.outcome)
        try:
            while not (outcome.done() and events.empty()):
                shown: asyncio.Future[Any] = asyncio.ensure_future(events.get())
                await asyncio.wait((outcome, shown), return_when=asyncio.FIRST_COMPLETED)
                if not shown.done():
                    shown.cancel()
                    continue
                index, content = shown.result()
                b64 = base64.b64encode(content).decode()
                yield written(f"{event}.partial_image", b64, partial_image_index=index)
            result = json.loads(_with_ignored(await outcome, body.ignored))
            for picture in result["data"]:
                yield written(f"{event}.completed", picture["b64_json"], usage=_usage(body), gainnet=result["gainnet"])
        except GainnetError as error:
            refusal = refusal_of(error)
            shown_error = {
                "message": str(refusal),
                "type": "server_error",
                "code": refusal.code,
                "param": refusal.param,
            }
            yield f"event: error\ndata: {json.dumps({'error': shown_error})}\n\n".encode()
        finally:
            if not job.outcome.done() and not job.is_kept:
                job.cancel()

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"cache-control": "no-store"})


def _usage(body: ImageRequest) -> dict[str, Any]:
    """The fields that OpenAI's types require: words for tokens, as this edge bills nobody."""
    words = len(body.prompt.split())
    return {
        "input_tokens": words, "output_tokens": 0, "total_tokens": words,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": words},
    }  # fmt: skip


def _with_urls(result: bytes, place: str) -> bytes:
    values = json.loads(result)
    values["data"] = [{"url": f"{place}/{index}"} for index in range(len(values["data"]))]
    return json.dumps(values).encode()


def _with_ignored(result: bytes, names: Sequence[str]) -> bytes:
    """The result with the fields that had no effect, where there are any; kept in the journal without."""
    if not names:
        return result
    values = json.loads(result)
    values["gainnet"]["ignored"] = list(names)
    return json.dumps(values).encode()


def _named(engines: Engines, name: str) -> Engine:
    """The engine of a model; raises `RefusedError` where there is none, in the form of OpenAI's."""
    try:
        return engines.named(name)
    except ConfigError as error:
        raise RefusedError(404, str(error), "model_not_found", "model") from None


def _described(model: DiffusionModel) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": 0, "owned_by": "gainnet"}


def _digest(*texts: str) -> bytes:
    return hashlib.sha256("\n".join(texts).encode()).digest()
