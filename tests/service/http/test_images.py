"""Pictures as OpenAI's own client asks for them."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import numpy.typing as npt
import openai
import pytest
from PIL import Image

from gainnet.catalog.deciding import decided, wanted_of
from gainnet.catalog.opening import open_request
from gainnet.catalog.records import GenerationConfig
from gainnet.generation.generate import png
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.models.runtime import on_runtime
from gainnet.service.http.jobs import Wanted
from gainnet.service.journal import Journal
from gainnet.service.provenance import verify
from service.http.conftest import Served, edge

Pixels = npt.NDArray[np.uint8]


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="none", base_url=f"{served.url}/v1", max_retries=0) as client:
        yield client


def pixels(b64: str | None) -> Pixels:
    assert b64 is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(b64))))


def generated(model: DiffusionModel, config: GenerationConfig) -> list[Pixels]:
    values = open_request(config, model).generate().values
    return [np.asarray(Image.open(io.BytesIO(png(each)))) for each in values]


@pytest.mark.slow
def test_pictures_are_those_of_generate(client: openai.OpenAI, model: DiffusionModel) -> None:
    answer = client.images.generate(
        model="scenes", prompt="a red star", n=2, size="128x128", response_format="b64_json",
        extra_body={"gainnet": {"random_seed": 7}},
    )  # fmt: skip
    config = GenerationConfig(("a red star",) * 2, "centralized", fading="ideal", random_seed=7)
    assert answer.data is not None
    assert [pixels(each.b64_json).tolist() for each in answer.data] == [p.tolist() for p in generated(model, config)]
    assert answer.size == "128x128"
    cost = answer.model_dump()["gainnet"]
    assert cost["random_seed"] == 7
    assert cost["runtime"] == "onnx"


def test_a_picture_is_signed_and_names_its_prompt_only_when_asked(served: Served, tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(httpx.get(f"{served.url}/root.pem").content)
    for extra, is_named in (({}, False), ({"names_prompt": True}, True)):
        body = {"prompt": "a red star", "gainnet": {"num_steps": 2, **extra}}
        answer = httpx.post(f"{served.url}/v1/images/generations", json=body, timeout=60.0).json()
        (tmp_path / "star.png").write_bytes(base64.b64decode(answer["data"][0]["b64_json"]))
        found = verify(tmp_path / "star.png", tmp_path / "root.pem")
        assert (found.evidence, found.problems, found.pixels) == ("c2pa", (), "signed")
        assert found.stated is not None
        assert found.stated.get("prompt") == ("a red star" if is_named else None)
        assert answer["gainnet"]["provenance"]["num_bytes"] > 0


@pytest.mark.slow
def test_a_protocol_and_an_air_are_asked_for_beside(client: openai.OpenAI, model: DiffusionModel) -> None:
    fields = {"protocol": "eiug", "snr_db": 3.0, "codec": {"seed": "linear"}, "num_channel_uses": 256, "random_seed": 3}
    answer = client.images.generate(prompt="a star", extra_body={"gainnet": fields})
    config = GenerationConfig(("a star",), **fields)  # type: ignore[arg-type]
    assert answer.data is not None
    assert (pixels(answer.data[0].b64_json) == generated(model, config)[0]).all()
    assert answer.model_dump()["gainnet"]["num_channel_uses_down"] == 256


@pytest.mark.slow
def test_what_serves_a_request_is_decided(client: openai.OpenAI) -> None:
    model = on_runtime(load_model("scenes"), "onnx")
    fields = {"snr_db": 12.0, "hardware": "laptop", "random_seed": 3}
    asked = {"decide": "uses", "min_psnr_db": 24.0, "max_energy_j": 40.0, **fields}
    answer = client.images.generate(prompt="a star", extra_body={"gainnet": asked})
    bounds = {name: asked[name] for name in ("decide", "min_psnr_db", "max_energy_j")}
    config, decision = decided(GenerationConfig(("a star",), **fields), wanted_of(bounds))  # type: ignore[arg-type]
    assert answer.data is not None
    assert (pixels(answer.data[0].b64_json) == generated(model, config)[0]).all()
    assert decision.keeps
    with pytest.raises(openai.BadRequestError, match="decide"):
        client.images.generate(prompt="a star", extra_body={"gainnet": {**asked, "decide": "beauty"}})
    with pytest.raises(openai.BadRequestError, match="protocol: it is decided"):
        client.images.generate(prompt="a star", extra_body={"gainnet": {**asked, "protocol": "ciag"}})


def test_a_stream_shows_sharper_and_sharper_pictures(client: openai.OpenAI, served: Served) -> None:
    events = list(client.images.generate(prompt="a red star", stream=True, partial_images=2, n=1))
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    first, second, last = (pixels(event.b64_json).astype(float) for event in events)
    assert [getattr(event, "partial_image_index", None) for event in events] == [0, 1, None]
    assert np.square(second - last).mean() < np.square(first - last).mean()


@pytest.mark.slow
def test_partial_pictures_of_a_nested_seed_are_its_prefixes(client: openai.OpenAI) -> None:
    fields = {"protocol": "eiug", "snr_db": 20.0, "codec": {"seed": "linear"}, "num_channel_uses": 300}
    asked = {"prompt": "a star", "extra_body": {"gainnet": {**fields, "random_seed": 3}}}
    events = list(client.images.generate(**asked, stream=True, partial_images=2))  # type: ignore[call-overload]
    first, second, last = (pixels(event.b64_json).astype(float) for event in events)
    plain = client.images.generate(**asked)  # type: ignore[call-overload]
    assert (pixels(plain.data[0].b64_json) == last).all()
    far, near = (np.square(each - last).mean() for each in (first, second))
    assert 0.0 < near < far < np.square(last - last.mean()).mean()


def test_a_picture_is_changed(client: openai.OpenAI, served: Served) -> None:
    grey = Image.new("RGB", (200, 150), (90, 120, 200))
    file = io.BytesIO()
    grey.save(file, "PNG")
    extra = {"gainnet": {"random_seed": 5, "strength": 0.5}}
    edits = [
        client.images.edit(image=("photo.png", file.getvalue()), prompt="a red star", extra_body=extra)
        for _ in range(2)
    ]
    one, other = (pixels(each.data[0].b64_json) for each in edits if each.data is not None)
    assert (one == other).all()
    assert abs(one.astype(float).mean(axis=(0, 1)) - (90, 120, 200)).max() < 90
    with pytest.raises(openai.BadRequestError, match="image: the file is no picture"):
        client.images.edit(image=("photo.png", b"GIF89a" + bytes(100)), prompt="a red star")


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"mask": ("mask.png", b"x")}, "mask: the whole picture is changed; leave it out, and say how much by "),
        ({"image[]": ("two.png", b"x")}, "image: one picture is changed at a time; give one"),
        ({"image": ()}, "image: a file is missing"),
    ],
)
def test_a_mask_and_a_second_picture_are_refused_by_name(
    served: Served, files: dict[str, tuple[str, bytes]], line: str
) -> None:
    sent = {name: file for name, file in {"image": ("one.png", b"x"), **files}.items() if file}
    url, form = f"{served.url}/v1/images/edits", {"prompt": "a red star"}
    error = httpx.post(url, data=form, files=sent).json()["error"]  # type: ignore[arg-type]
    assert error["message"].removeprefix("mask: Value error, ").startswith(line)
    assert error["param"] == line.partition(":")[0]


def test_fields_without_effect_are_named_in_the_answer(client: openai.OpenAI) -> None:
    asked = {"prompt": "a star", "quality": "high", "background": "opaque", "user": "u-1"}
    small = {"gainnet": {"num_steps": 2}}
    plain = client.images.generate(prompt="a star", quality="auto", extra_body=small).model_dump()
    assert "ignored" not in plain["gainnet"]
    odd = {**asked, "extra_body": {**small, "sed": 3, "style": "vivid"}}
    answer = client.images.generate(**odd).model_dump()  # type: ignore[call-overload]
    assert sorted(answer["gainnet"]["ignored"]) == ["quality", "sed", "style"]
    *_, last = client.images.generate(prompt="a star", background="transparent", stream=True, extra_body=small)
    assert last.model_dump()["gainnet"]["ignored"] == ["background"]


def test_a_url_leads_to_the_file(client: openai.OpenAI) -> None:
    answer = client.images.generate(prompt="a star", response_format="url", output_format="webp")
    assert answer.data is not None
    assert answer.data[0].url is not None
    file = httpx.get(answer.data[0].url)
    assert file.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(file.content)).size == (128, 128)


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [each.id for each in client.models.list()] == ["scenes"]
    assert client.models.retrieve("scenes").owned_by == "gainnet"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("dall-e-3")


@pytest.mark.parametrize(
    ("fields", "kind", "param"),
    [
        ({"model": "dall-e-3"}, openai.NotFoundError, "model"),
        ({"size": "1024x1024"}, openai.BadRequestError, "size"),
        ({"n": 11}, openai.UnprocessableEntityError, "n"),
        ({"prompt": ""}, openai.UnprocessableEntityError, "prompt"),
        ({"extra_body": {"negative_prompt": "a house"}}, openai.UnprocessableEntityError, "negative_prompt"),
        ({"extra_body": {"seed": 3}}, openai.UnprocessableEntityError, "seed"),
        ({"extra_body": {"mask": "data:image/png;base64,"}}, openai.UnprocessableEntityError, "mask"),
        ({"extra_body": {"gainnet": {"protocol": "os:abort"}}}, openai.BadRequestError, "protocol"),
        ({"extra_body": {"gainnet": {"image": "/etc/passwd"}}}, openai.BadRequestError, "image"),
        ({"extra_body": {"gainnet": {"network": "/etc/passwd"}}}, openai.BadRequestError, "network"),
        ({"extra_body": {"gainnet": {"snr_db": 1e99}}}, openai.BadRequestError, "snr_db"),
        ({"extra_body": {"gainnet": {"runtime": "torch"}}}, openai.BadRequestError, "runtime"),
        ({"extra_body": {"gainnet": {"within_s": -1}}}, openai.BadRequestError, "within_s"),
    ],
)
def test_what_is_wrong_is_named(
    client: openai.OpenAI, fields: dict[str, object], kind: type[openai.APIStatusError], param: str
) -> None:
    with pytest.raises(kind) as error:
        client.images.generate(**{"prompt": "a star", **fields})  # type: ignore[call-overload]
    assert error.value.param == param
    assert error.value.type == "invalid_request_error"


@pytest.mark.slow
def test_a_key_makes_a_retry_the_same_request(client: openai.OpenAI, served: Served) -> None:
    def ask(key: str, prompt: str = "a blue house") -> str | None:
        answer = client.images.generate(prompt=prompt, extra_headers={"Idempotency-Key": key})
        assert answer.data is not None
        return answer.data[0].b64_json

    begun = served.engine.status().num_rows["unet"]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(ask, ["one", "one"]))
    assert together[0] == together[1] == ask("one")
    assert served.engine.status().num_rows["unet"] - begun == 8
    assert ask("two") != together[0]
    with pytest.raises(openai.ConflictError):
        ask("one", "another prompt")


def test_whoever_goes_away_takes_the_request_along(client: openai.OpenAI, served: Served) -> None:
    def steps() -> int:
        return served.engine.status().num_rows["unet"]

    body = {"prompt": "a star", "gainnet": {"num_steps": 1000}}
    begun = steps()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{served.url}/v1/images/generations", json=body, timeout=0.3)
    # The journal forgets it just after the engine has.
    while served.engine.status().num_open or served.journal.unfinished():
        time.sleep(0.01)
    assert steps() - begun < 1000


@pytest.mark.slow
def test_what_an_earlier_process_accepted_is_run_again(
    model: DiffusionModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("edge") / "journal.db"
    fields = {"protocol": "centralized", "fading": "ideal", "random_seed": 9, "prompts": ["a star"], "runtime": "onnx"}
    with Journal(path) as journal:
        journal.accept("i-lost", Wanted({"config": fields, "strength": None}).to_json(), 9)
    with edge(model, path) as served:
        while served.journal.unfinished():
            time.sleep(0.02)
        file = httpx.get(f"{served.url}/v1/images/results/i-lost/0").content
    expected = generated(model, GenerationConfig(("a star",), "centralized", fading="ideal", random_seed=9))[0]
    assert (np.asarray(Image.open(io.BytesIO(file))) == expected).all()


@pytest.mark.slow
def test_no_more_are_taken_than_it_can_hold(model: DiffusionModel, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("edge") / "journal.db"
    with edge(model, path, most_waiting=2) as served:
        url, answers = f"{served.url}/v1/images/generations", list[httpx.Response]()

        def ask() -> None:
            answers.append(httpx.post(url, json={"prompt": "a star", "gainnet": {"num_steps": 15}}, timeout=60.0))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(each.status_code for each in answers) == [200, 200, 429, 429]
    refused = next(each for each in answers if each.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["type"] == "rate_limit_error"
