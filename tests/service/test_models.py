"""An edge of several models: words decide, by whichever door a prompt comes in."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from tests.conftest import Call

from gainnet.models.shipped import present_models
from gainnet.service.http import Doors
from gainnet.service.journal import Journal
from gainnet.service.serving import Serving, assembled

pytestmark = pytest.mark.slow

OCTOPUS, BOAT = "an octopus", "a white boat on the sea"


@pytest.fixture(scope="module")
def url(user_with_emoji: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an edge with all shipped models, one of which is a small one that its user has installed."""
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("XDG_DATA_HOME", str(user_with_emoji))
        assert present_models() == ("scenes", "emoji")
        bound = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        journal = stack.enter_context(Journal(tmp_path_factory.mktemp("edge") / "journal.db"))
        engines = stack.enter_context(Serving(runtime="torch").engines())
        made, edges = assembled(engines, journal, Doors(), 0.0, None)
        server = uvicorn.Server(uvicorn.Config(made, log_level="error", ws="websockets-sansio"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        made.state.is_draining = server.should_exit = True
        thread.join()
        for edge in edges:
            edge.close()


def asked(url: str, prompt: str, **fields: object) -> httpx.Response:
    body = {"prompt": prompt, "gainnet": {"num_steps": 1, "random_seed": 3}, **fields}
    return httpx.post(f"{url}/v1/images/generations", json=body, timeout=60)


def test_words_decide_which_model_answers(url: str) -> None:
    for prompt, name in ((OCTOPUS, "emoji"), (BOAT, "scenes")):
        told = asked(url, prompt).json()["gainnet"]
        assert (told["model"], told["warnings"]) == (name, [])
    told = asked(url, "an octopus and a dragon").json()["gainnet"]
    assert told["model"] == "emoji"
    assert [each["word"] for each in told["warnings"]] == ["dragon"]


def test_a_model_that_is_named_answers(url: str) -> None:
    told = asked(url, OCTOPUS, model="scenes").json()["gainnet"]
    assert told["model"] == "scenes"
    assert [each["word"] for each in told["warnings"]] == ["octopus"]
    refused = asked(url, OCTOPUS, model="photographs")
    assert refused.status_code == 404
    assert "scenes and emoji" in refused.json()["error"]["message"]
    assert [each["id"] for each in httpx.get(f"{url}/v1/models").json()["data"]] == ["scenes", "emoji"]
    assert httpx.get(f"{url}/v1/status").json()["models"] == ["scenes", "emoji"]


def test_a_device_is_connected_to_the_model_of_its_words(
    url: str, call: Call, user_with_emoji: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(user_with_emoji))
    options = ("--num-steps", "1", "--fading", "ideal", "--codec", "seed=raw", "--json")
    for prompt, name in ((OCTOPUS, "emoji"), (BOAT, "scenes")):
        code, out, err = call("ask", url, prompt, *options)
        assert code == 0, err
        summary = json.loads(out)
        assert (summary["model"], summary["warnings"]) == (name, [])
        assert summary["edge"]["model"] == name


def test_files_of_every_model_lie_at_a_place_of_their_own(url: str) -> None:
    first = httpx.get(f"{url}/device/device.json").json()
    assert first["models"] == [{"name": "scenes", "base": ""}, {"name": "emoji", "base": "emoji/"}]
    second = httpx.get(f"{url}/device/emoji/device.json").json()
    assert (first["model"], second["model"]) == ("scenes", "emoji")
    for base in ("", "emoji/"):
        assert "domain" in httpx.get(f"{url}/device/{base}model/vocabulary.json").json()
    assert httpx.get(f"{url}/device/emoji/model/nothing.json").status_code == 404
