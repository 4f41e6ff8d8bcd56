"""The page: its routes, streams that it reads as Python does, and pictures that real browsers decode in it."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import lzma
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
import uvicorn
from fastapi import FastAPI
from PIL import Image

from cell_desk import frames_of
from gainnet.catalog import GenerationConfig
from gainnet.catalog.opening import open_request
from gainnet.generation.generate import Generation, png
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import find_folder, load_model
from gainnet.models.runtime import on_runtime
from gainnet.service.engine import Engine
from gainnet.service.exports import export_device
from gainnet.service.node.edge import Edge
from gainnet.service.node.line import connected
from gainnet.service.node.order import Asked
from gainnet.service.node.router import device_router
from gainnet.service.page import BUILT, page_router
from gainnet.service.page.router import weight_paths
from gainnet.service.provenance import Signer, mark, verify
from gainnet.service.provenance.marking import read_marks
from gainnet.wire.keys import write_signing_keys

HERE = Path(__file__).parent
WEB = HERE.parents[2] / "web"
BROWSERS = {"chromium": shutil.which("chromium"), "firefox": shutil.which("firefox-esr") or shutil.which("firefox")}
PROMPT = "a red star above a blue house at sunset"


@pytest.fixture(scope="module")
def model() -> DiffusionModel:
    return on_runtime(load_model("scenes", num_steps=2), "onnx")


@contextlib.contextmanager
def served(application: FastAPI) -> Iterator[int]:
    """Port of an application, on all addresses of this machine."""
    with socket.create_server(("", 0)) as listener:
        config = uvicorn.Config(application, log_level="error", ws="websockets-sansio", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(10.0)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the keys of the edge's signer."""
    folder = tmp_path_factory.mktemp("signer")
    write_signing_keys(folder)
    return folder


@pytest.fixture(scope="module")
def engine(model: DiffusionModel) -> Iterator[Engine]:
    with Engine(model) as engine:
        yield engine


@pytest.fixture(scope="module")
def edge(engine: Engine, keys: Path) -> Iterator[int]:
    """Port of an edge of this process."""
    signer = Signer(keys)
    application, node = FastAPI(), Edge(engine, signer=signer)
    application.include_router(device_router((node,)))
    application.include_router(page_router((node,), signer=signer))
    with served(application) as port:
        yield port
    node.close()


@pytest.fixture(scope="module")
def client(edge: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{edge}", timeout=60.0) as client:
        yield client


def node_or_skip() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed")
    return found


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "text/html"), ("/page.js", "text/javascript"), ("/worker.js", "text/javascript"), ("/style.css", "text/css"),
     ("/icon.svg", "image/svg+xml"), ("/dashboard", "text/html"), ("/licences.txt", "text/plain")],
)  # fmt: skip
def test_files_have_their_types_and_strict_rules(client: httpx.Client, path: str, kind: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self' 'wasm-unsafe-eval'" in policy
    assert "unsafe-inline" not in policy
    assert client.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_a_host_that_is_none_does_not_reach_the_policy(client: httpx.Client) -> None:
    policy = client.get("/", headers={"Host": "x; script-src *"}).headers["content-security-policy"]
    assert "script-src *" not in policy


@pytest.mark.slow
def test_the_binary_of_the_runtime_is_compressed(client: httpx.Client) -> None:
    answer = client.get("/ort.wasm")
    assert answer.headers["content-type"] == "application/wasm"
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < 3_700_000
    assert answer.content == lzma.decompress((BUILT / "ort.wasm.xz").read_bytes())
    assert answer.content[:4] == b"\0asm"
    assert client.get("/ort.wasm", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


@pytest.mark.slow
def test_a_binary_is_unpacked_once_and_a_damaged_one_says_so(model: DiffusionModel, tmp_path: Path) -> None:
    application, content = FastAPI(), bytes(range(256)) * 1000
    good, bad = tmp_path / "good.wasm.xz", tmp_path / "bad.wasm.xz"
    good.write_bytes(lzma.compress(content))
    bad.write_bytes(good.read_bytes()[:-20])
    with Engine(model) as engine:
        application.include_router(page_router((Edge(engine),), tmp_path))
    with served(application) as port, ThreadPoolExecutor(4) as threads:
        ask = partial(httpx.get, f"http://127.0.0.1:{port}/good.wasm")
        assert {each.result().content for each in [threads.submit(ask) for _ in range(4)]} == {content}
        # What stands in memory is sent, whatever becomes of the file.
        good.write_bytes(bad.read_bytes())
        assert ask().content == content
        answer = httpx.get(f"http://127.0.0.1:{port}/bad.wasm")
    assert answer.status_code == 503
    assert "page: bad.wasm.xz is damaged" in answer.text


def test_nothing_else_is_reached(client: httpx.Client) -> None:
    for path in (
        "/index.htm",
        "/device/../router.py",
        "/device/%2e%2e/router.py",
        "/ort.wasm.gz",
        "/ort.wasm.xz",
        "/device/model/unet",
    ):
        assert client.get(path).status_code == 404, path


def test_files_of_a_device_are_those_of_the_index(client: httpx.Client, model: DiffusionModel) -> None:
    index = client.get("/device/device.json").json()
    assert index["model_sha256"] == model.sha256
    answer = client.get("/device/model/vae/decoder.onnx")
    assert answer.content == (find_folder("scenes") / "vae" / "decoder.onnx").read_bytes()
    assert answer.headers["etag"] == f'"{index["files"]["model/vae/decoder.onnx"]["sha256"]}"'
    assert all(path.removeprefix("/device/") in index["files"] for path in weight_paths(model).values())


def test_without_a_built_page_the_answer_says_how_to_build_it(model: DiffusionModel, tmp_path: Path) -> None:
    application = FastAPI()
    with Engine(model) as engine:
        application.include_router(page_router((Edge(engine),), tmp_path))
    with served(application) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/")
    assert answer.status_code == 503
    assert "make web" in answer.text


@pytest.mark.slow
def test_an_opponent_takes_no_step_of_the_denoiser_again(client: httpx.Client, edge: int, engine: Engine) -> None:
    # Sent as a picture, so that no other codec is searched for.
    config = GenerationConfig((PROMPT,), "centralized", snr_db=10.0, random_seed=4, runtime="onnx")
    with connected(f"http://127.0.0.1:{edge}") as line:
        assert frames_of(line, Asked(config))[-1].kind == "report"
    before = engine.status().num_rows["unet"]
    found = client.post("/v1/opponent", json=Asked(config).to_json()).json()
    assert found["own_psnr_db"] > 0
    assert before == engine.status().num_rows["unet"] > 0


@pytest.mark.slow
def test_the_opponent_is_the_baseline_of_the_generation(
    client: httpx.Client, model: DiffusionModel, keys: Path, tmp_path: Path
) -> None:
    config = {
        "prompts": [PROMPT],
        "num_channel_uses": 128,
        "codec": {"seed": "linear"},
        "random_seed": 3,
        "runtime": "onnx",
    }
    found = client.post("/v1/opponent", json={"config": config, "strength": None}).json()
    generation = open_request(GenerationConfig(**config | {"prompts": (PROMPT,)}), model).generate()  # type: ignore[arg-type]
    assert generation.baseline is not None
    assert found["name"] == generation.baseline.name
    assert found["own_psnr_db"] == pytest.approx(generation.quality.psnr_db, abs=1e-3)
    (tmp_path / "rival.png").write_bytes(base64.b64decode(found["png"]))
    assert pixels_of(tmp_path / "rival.png") == pixels_of(io.BytesIO(png(generation.baseline.image)))
    assert verify(tmp_path / "rival.png", keys / "root.pem").problems == ()
    assert found["duration_s"] > 0


@pytest.mark.parametrize(
    "config", [{}, {"prompts": ["a"], "image": "/etc/passwd"}, {"prompts": ["a"], "protocol": "os:abort"}]
)
def test_the_opponent_refuses_what_a_peer_may_not_ask(client: httpx.Client, config: dict[str, Any]) -> None:
    answer = client.post("/v1/opponent", json={"config": config})
    assert answer.status_code == 422
    assert "\n" not in answer.json()["error"]["message"]


def check_streams(count: int | None) -> None:
    codec = Path(find_folder("scenes")).parents[2] / "codecs" / "pretrained" / "transform_seed"
    command = [node_or_skip(), WEB / "tests" / "golden.mjs", codec, HERE / "golden_streams.json"]
    ended = subprocess.run(
        [*command, *([] if count is None else [str(count)])], capture_output=True, text=True, check=True
    )
    assert json.loads(ended.stdout) == {"streams": count or 1000, "different": 0}


@pytest.mark.slow
def test_the_page_reads_streams_as_python_does() -> None:
    check_streams(12)


@pytest.mark.slow
def test_the_page_reads_a_thousand_streams_as_python_does() -> None:
    rows = json.loads((HERE / "golden_streams.json").read_text(encoding="utf-8"))
    assert sum(row["prompt"] is not None for row in rows) == 500
    check_streams(None)


def own_address() -> str:
    """An address of this machine that is not loopback; skips where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # sends nothing; the system chooses the address that it would send from
        if not (address := str(probe.getsockname()[0])).startswith("127."):
            return address
    pytest.skip("this machine has no address but loopback")


def driver(browser: str, url: str, runs: list[dict[str, Any]]) -> subprocess.Popen[str]:
    """A browser that begins these runs on a page."""
    if (place := BROWSERS[browser]) is None:
        pytest.skip(f"{browser} is not installed")
    if not (WEB / "node_modules").is_dir():
        pytest.skip("the libraries that drive browsers are not installed; run make web")
    command = [node_or_skip(), "tests/browser.mjs", browser, url, json.dumps(runs)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **pipes, text=True, cwd=WEB, env=os.environ | {"BROWSER": place})


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a browser says of the page when its runs are over."""
    said, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors[-2000:]
    found: dict[str, Any] = json.loads(said)
    return found


def drive(browser: str, url: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Both."""
    return outcome(driver(browser, url, runs))


def check_run(run: dict[str, Any], generation: Generation) -> None:
    """Asserts that a run drew the picture that Python generates, within one step of 8 bits, and named its opponent."""
    wanted = (generation.values[0].permute(1, 2, 0) * 255).round().to(torch.int16).numpy()
    pixels = np.frombuffer(base64.b64decode(run["pixels"]), dtype=np.uint8).reshape(wanted.shape)
    assert np.abs(pixels.astype(np.int16) - wanted).max() <= 1
    if generation.baseline is not None:
        assert run["texts"]["rival-name"].lower().startswith(generation.baseline.name)
        assert run["rival"].startswith("data:image/png;base64,")
    if generation.quality.psnr_db is not None:
        assert run["texts"]["own-psnr"] == f"{generation.quality.psnr_db:.1f} dB"


def check_saved(run: dict[str, Any], folder: Path, keys: Path) -> None:
    """Asserts that a saved picture is the one that is shown, and that its receipt holds until a pixel changes."""
    path = folder / "saved.png"
    path.write_bytes(base64.b64decode(run["saved"]["png"]))
    assert pixels_of(path) == base64.b64decode(run["pixels"])
    found = verify(path, keys / "root.pem")
    assert (found.evidence, found.pixels, found.problems) == ("receipt", "signed", ())
    changed = bytearray(pixels_of(path))
    changed[0] ^= 1
    marks = read_marks(path.read_bytes())
    with Image.open(path) as image:
        file = io.BytesIO()
        Image.frombytes("RGB", image.size, bytes(changed)).save(file, "PNG")
    path.write_bytes(mark(file.getvalue(), marks["source"], marks["receipt"]))
    assert verify(path, keys / "root.pem").pixels == "changed"


def pixels_of(file: Path | io.BytesIO) -> bytes:
    with Image.open(file) as image:
        return image.convert("RGB").tobytes()


def check_manners(said: dict[str, Any]) -> None:
    """Asserts that the page stayed within its policy, its edge and its width, and was sent no picture."""
    assert said["errors"] == said["violations"] == said["outside"] == said["pictures"] == []
    assert all(wide <= int(width) for width, wide in said["widths"].items())


CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "seed_prompt": ("eiug", {}, {}),
    "linear": ("eiug", {"fading": "rayleigh"}, {"fading": "rayleigh"}),
    "transform_prompt": ("eiug", {"snr": "10"}, {"snr_db": 10.0}),
    "digital": ("eiug", {"snr": "15"}, {"snr_db": 15.0}),
    "raw": ("ciag", {"cut": "1"}, {"cut": 1}),
    "matched": ("ciag", {"cut": "1"}, {"cut": 1}),
    "quantized": ("esuc", {"snr": "10"}, {"snr_db": 10.0}),
}
"""By codec the protocol, and what differs from the defaults in the page and in the configuration."""

KINDS = {"eiug": "seed", "ciag": "midway", "esuc": "sketch", "draft": "correction"}


def config_of(name: str) -> GenerationConfig:
    protocol, _, own = CASES[name]
    # The page offers no number of uses for a latent between two steps, which has its own.
    uses = None if protocol == "ciag" else 256
    given = {"snr_db": 5.0, "random_seed": 7, "num_channel_uses": uses, "runtime": "onnx", **own}
    return GenerationConfig((PROMPT,), protocol, codec={KINDS[protocol]: name}, **given)


def settings_of(name: str) -> dict[str, Any]:
    protocol, own, _ = CASES[name]
    common = {"prompt": PROMPT, "snr": "5", "fading": "awgn", "number": "7"}
    return {"protocol": protocol, "codec": name, **common, **own}


@pytest.mark.slow
def test_a_photo_is_changed_as_python_changes_it(edge: int, model: DiffusionModel, tmp_path: Path) -> None:
    picture = torch.rand(model.image.shape, generator=torch.Generator().manual_seed(1)).mul(255).round() / 255
    (tmp_path / "photo.png").write_bytes(png(picture))
    config = GenerationConfig((PROMPT,), snr_db=5.0, random_seed=7, num_channel_uses=256, codec={"seed": "linear"})
    request = replace(open_request(replace(config, runtime="onnx"), model), picture=picture, strength=0.6)
    run = settings_of("linear") | {"fading": "awgn", "photo": str(tmp_path / "photo.png"), "strength": "60"}
    (found,) = drive("chromium", f"http://127.0.0.1:{edge}/", [run])["runs"]
    check_run(found, request.generate())


@pytest.mark.slow
def test_the_page_drafts_and_the_edge_corrects() -> None:
    # Drafts are fitted to the whole run.
    model = on_runtime(load_model("scenes"), "onnx")
    run = {"protocol": "draft", "prompt": PROMPT, "snr": "8", "fading": "awgn", "number": "7"}
    with Engine(model) as engine:
        application, node = FastAPI(), Edge(engine)
        application.include_router(device_router((node,)))
        application.include_router(page_router((node,)))
        with served(application) as port:
            said = drive("chromium", f"http://127.0.0.1:{port}/", [run | {"draft": cut} for cut in ("5", "2")])
        node.close()
    check_manners(said)
    for cut, found in zip((5, 2), said["runs"], strict=True):
        given = {"snr_db": 8.0, "random_seed": 7, "num_channel_uses": 256, "runtime": "onnx", "cut": cut}
        config = GenerationConfig((PROMPT,), "draft", codec={"correction": "residual"}, **given)
        check_run(found, open_request(config, model).generate())
        assert "another one" not in found["texts"]["foot"]


@pytest.mark.slow
def test_the_page_computes_with_the_model_that_knows_the_words(
    user_with_emoji: Path, model: DiffusionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First with the model that it opened, then with the other one, whose tokens, seed and last steps are its own."""
    own = tmp_path / "gainnet" / "models" / "emoji"
    export_device(load_model(str(user_with_emoji / "gainnet" / "models" / "emoji")), tmp_path / "device")
    shutil.copytree(tmp_path / "device" / "model", own)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    runs = {
        "eiug": {"protocol": "eiug", "prompt": "an octopus", "snr": "20"},
        "ciag": {"protocol": "ciag", "codec": "raw", "cut": "2", "prompt": "a judge with dark skin", "snr": "20"},
    }
    other = on_runtime(load_model("emoji"), "onnx")
    with Engine(model) as first, Engine(other) as second:
        edges = Edge(first), Edge(second)
        application = FastAPI()
        application.include_router(device_router(edges))
        application.include_router(page_router(edges))
        with served(application) as port:
            asked = [settings_of("linear"), *({"fading": "awgn", "number": "7"} | run for run in runs.values())]
            said = drive("chromium", f"http://127.0.0.1:{port}/", asked)
        for edge in edges:
            edge.close()
    check_manners(said)
    check_run(said["runs"][0], open_request(config_of("linear"), model).generate())
    for (protocol, run), found in zip(runs.items(), said["runs"][1:], strict=True):
        # The page's own choice: principal components that come with the model, and their number of uses.
        own = {"cut": 8} if protocol == "ciag" else {"num_channel_uses": 256}
        codec = {KINDS[protocol]: "raw" if protocol == "ciag" else "linear"}
        config = GenerationConfig((run["prompt"],), protocol, snr_db=20.0, random_seed=7, codec=codec, **own)
        check_run(found, open_request(config, other).generate())
        assert not found["warned"]


@contextlib.contextmanager
def serving(port: int, journal: Path) -> Iterator[subprocess.Popen[str]]:
    """An edge as a process of its own, which is killed at the end."""
    command = [sys.executable, "-m", "gainnet.cli", "serve", "--port", str(port), "--journal", str(journal), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert json.loads(process.stdout.readline())["url"] == f"http://127.0.0.1:{port}/"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_page_gets_its_picture_although_the_edge_was_killed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url, journal = f"http://127.0.0.1:{port}/", tmp_path / "journal.db"
    with serving(port, journal):
        browser = driver("chromium", url, [settings_of("linear")])
        while (status := httpx.get(f"{url}v1/status", timeout=60.0).json())["counts"]["accepted"] == 0:
            assert browser.poll() is None
            time.sleep(0.05)
        assert [each["kind"] for each in status["connected"]] == ["device"]
    with serving(port, journal):
        (run,) = outcome(browser)["runs"]
    check_run(run, open_request(config_of("linear"), on_runtime(load_model("scenes"), "onnx")).generate())


@pytest.mark.slow
@pytest.mark.parametrize("browser", sorted(BROWSERS))
def test_a_browser_decodes_what_python_generates(
    browser: str, edge: int, model: DiffusionModel, keys: Path, tmp_path: Path
) -> None:
    names = list(CASES) if browser == "chromium" else ["seed_prompt", "matched"]
    said = drive(browser, f"http://127.0.0.1:{edge}/", [settings_of(name) for name in names])
    check_manners(said)
    assert set(said["widths"]) >= ({"390", "1280"} if browser == "chromium" else set())
    for name, run in zip(names, said["runs"], strict=True):
        check_run(run, open_request(config_of(name), model).generate())
        check_saved(run, tmp_path, keys)
        assert not run["warned"]


def test_a_page_from_another_address_needs_no_secure_context(edge: int, keys: Path, tmp_path: Path) -> None:
    address = own_address()
    run = settings_of("linear") | {"prompt": "a purple whale"}
    said = drive("chromium", f"http://{address}:{edge}/", [run])
    check_manners(said)
    assert not said["isSecureContext"]
    (found,) = said["runs"]
    assert found["warned"]
    assert "whale" in found["texts"]["unknown"]
    assert "passes of its denoiser" in found["texts"]["foot"]
    assert found["saved"]["name"] == "a-purple-whale.png"
    check_saved(found, tmp_path, keys)
