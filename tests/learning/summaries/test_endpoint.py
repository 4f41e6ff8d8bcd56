"""A cloud behind HTTP: a real server of transformers gives what the model gives in process; mistakes are one line."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from gainnet.core.errors import ConfigError
from gainnet.learning.summaries.conclusions import Completion, LocalCloud
from gainnet.learning.summaries.endpoint import KEY_VARIABLE, SYSTEM, EndpointCloud
from gainnet.models.language import save_language_model, small_decoder
from gainnet.models.trials.answering import subword_tokenizer
from gainnet.models.trials.fields import invented_fields
from gainnet.models.trials.prompts import FORMS, EdgeAnswer, cloud_prompt
from gainnet.models.trials.writing import write_abstracts

needs_serving = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("fastapi", "uvicorn", "openai")),
    reason="transformers serve needs fastapi, uvicorn and openai: pip install 'gainnet[dev]'",
)
CHAT = {
    "choices": [{"message": {"role": "assistant", "content": " pain\n is lower. "}}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 4},
}


class Scripted(BaseHTTPRequestHandler):
    """Answers with what its server was told to, one after the other, and keeps what it was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers), json.loads(body)))  # type: ignore[attr-defined]
        status, headers, answer = self.server.answers.pop(0)  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as running:
        running.asked, running.answers = [], []  # type: ignore[attr-defined]
        running.url = f"http://127.0.0.1:{running.server_port}/v1"  # type: ignore[attr-defined]
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def cloud(server: Any, **settings: Any) -> EndpointCloud:
    return EndpointCloud(server.url, "small", **{"wait_s": 0.01, "timeout_s": 5.0, **settings})


def test_a_prompt_is_a_chat(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "secret-key")
    server.answers = [(200, {}, CHAT), (200, {}, {"choices": CHAT["choices"]})]
    assert cloud(server).complete(["one", "two"]) == [
        Completion("pain is lower.", 7, 4),
        Completion("pain is lower.", None, None),
    ]
    path, headers, asked = server.asked[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret-key"
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "one"}]
    assert asked == {"model": "small", "messages": messages, "max_tokens": 256, "temperature": 0, "stream": False}


@pytest.mark.parametrize(
    ("message", "reason", "text", "flaw"),
    [
        ({"content": None, "reasoning": "First"}, "length", "", "length"),
        ({"content": "", "reasoning": "First"}, "stop", "", "empty"),
        ({"content": "pain is"}, "length", "pain is", "length"),
        ({"content": None}, "content_filter", "", "content_filter"),
        ({"content": None, "refusal": "no"}, "stop", "", "refusal"),
        ({"refusal": "no"}, "stop", "", "refusal"),
        ({"content": "<think>p is\n0.03</think>\n\npain fell."}, "stop", "pain fell.", ""),
        ({"content": "<think>and so on"}, "length", "", "length"),
        ({"content": [{"type": "thinking"}, {"type": "text", "text": "pain fell."}]}, "stop", "pain fell.", ""),
    ],
)  # fmt: skip
def test_an_answer_without_a_conclusion_is_named(server: Any, message: Any, reason: str, text: str, flaw: str) -> None:
    server.answers = [(200, {}, {"choices": [{"message": message, "finish_reason": reason}], "usage": {}})]
    (found,) = cloud(server).complete(["one"])
    assert (found.text, found.flaw) == (text, flaw)


def test_a_busy_cloud_is_asked_again(server: Any) -> None:
    server.answers = [(503, {"Retry-After": "0.2"}, b"busy"), (429, {}, b""), (529, {}, b""), (200, {}, CHAT)]
    start = time.monotonic()
    assert cloud(server).complete(["one"])[0].text == "pain is lower."
    assert time.monotonic() - start > 0.2
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("answers", "line"),
    [
        ([(401, {}, {"error": {"message": "bad secret-key"}})], r"refused \(401 bad \*\*\*\); set GAINNET_CLOUD_KEY"),
        ([(404, {}, {"error": {"message": "no such"}})], r"refused \(404 no such\); check .* cloud_model"),
        ([(302, {"Location": "http://127.0.0.1:1/"}, b"")], r"refused \(302 "),
        ([(200, {}, b"<html>")], "does not answer with JSON"),
        ([(200, {}, {"choices": []})], "no chat completion"),
        ([(200, {}, {"choices": [{"message": {"content": 5}}]})], "no chat completion"),
        ([(200, {}, [])], "no chat completion"),
        ([(500, {}, b"")] * 2, "no answer in 2 attempts"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(server: Any, answers: list[Any], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "secret-key")
    server.answers = list(answers)
    with pytest.raises(ConfigError, match=line) as caught:
        cloud(server, num_attempts=2).complete(["one"])
    assert "\n" not in str(caught.value)
    assert "secret-key" not in str(caught.value)
    assert server.answers == []


def test_nobody_is_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(ConfigError, match=r"no answer in 2 attempts .*; is the server running\?"):
        EndpointCloud(url, "small", num_attempts=2, wait_s=0.0).complete(["one"])


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://host/v1", "http://me:key@host/v1", "http://host/v1?key=1", "http://host:x/v1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="cloud_url"):
        EndpointCloud(url, "small")


def test_a_key_does_not_travel_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "secret-key")
    with pytest.raises(ConfigError, match="unencrypted; give an https URL"):
        EndpointCloud("http://203.0.113.7/v1", "small").complete(["one"])
    assert "secret-key" not in repr(EndpointCloud("http://203.0.113.7/v1", "small"))


@needs_serving
@pytest.mark.slow
def test_a_real_server_gives_what_the_model_gives_in_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`transformers serve` on loopback, with a chat template that passes the prompt on as it is."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    abstracts = write_abstracts(invented_fields(1, 0)[0], 3, 0)
    tokenizer = subword_tokenizer([a.document for a in abstracts], 400)
    model = small_decoder(32, 2, 2, len(tokenizer), random_seed=5).eval()
    save_language_model(model, tokenizer, tmp_path / "cloud")
    config = tmp_path / "cloud" / "tokenizer_config.json"
    template = {"chat_template": "{{ messages[-1]['content'] }}"}
    config.write_text(json.dumps(json.loads(config.read_text()) | template))
    prompts = [cloud_prompt(form, abstracts[0].document, EdgeAnswer("finding", "a draft.")) for form in FORMS]
    with served(tmp_path / "cloud") as url:
        found = EndpointCloud(url, str(tmp_path / "cloud"), max_tokens=16).complete(prompts)
    expected = LocalCloud(model, tokenizer, 16).complete(prompts)
    assert [completion.text for completion in found] == [completion.text for completion in expected]
    assert [c.num_prompt_tokens for c in found] == [c.num_prompt_tokens for c in expected]
    assert any(completion.text for completion in found)


class served:
    """`transformers serve` of a folder, on a free port of loopback, offline; ended with its context."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder

    def __enter__(self) -> str:
        command = shutil.which("transformers", path=str(Path(sys.executable).parent)) or "transformers"
        arguments = ["serve", str(self.folder), "--host", "127.0.0.1", "--port", str(self.port), "--device", "cpu"]
        self.process = subprocess.Popen(
            [command, *arguments],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2):
                    return f"http://127.0.0.1:{self.port}/v1"
            except OSError:
                assert self.process.poll() is None, "the server has ended"
                time.sleep(0.5)
        raise AssertionError("the server did not start in two minutes")

    def __exit__(self, *_: Any) -> None:
        self.process.terminate()
        self.process.wait(30)
