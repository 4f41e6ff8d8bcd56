"""Doors: strangers are refused before they cost anything, and nothing that they write is repeated."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gainnet.core.errors import ConfigError
from gainnet.models.diffusion import DiffusionModel
from gainnet.service.http.doors import Doors, Rates, hosts_of
from gainnet.service.http.errors import RefusedError
from gainnet.service.http.tokens import Tokens, read_tokens, write_tokens
from gainnet.service.serving import Listening
from service.http.conftest import Served, edge

BODY = {"prompt": "a star"}


@pytest.fixture(scope="module")
def token() -> tuple[Tokens, str]:
    return Tokens().add("phone")


@pytest.fixture(scope="module")
def guarded(
    model: DiffusionModel, token: tuple[Tokens, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    doors = Doors(tokens=token[0], most_bytes=10_000, rate_per_s=0.001, burst=12)
    with edge(model, tmp_path_factory.mktemp("edge") / "journal.db", doors) as served:
        yield served


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_token_is_asked_for_where_something_costs(guarded: Served, token: tuple[Tokens, str]) -> None:
    # One client for all, since each reads every authority of this machine.
    with httpx.Client(base_url=guarded.url) as client:
        for path in ("/v1/models", "/v1/status", "/metrics", "/v1/openapi.json"):
            assert code(client.get(path)) == (401, "invalid_api_key")
            wrong = client.get(path, headers={"Authorization": "Bearer guess"})
            assert code(wrong) == (401, "invalid_api_key")
            assert wrong.headers["www-authenticate"] == "Bearer"
        assert client.get("/v1/models", headers={"Authorization": f"Bearer {token[1]}"}).status_code == 200
        assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]


def test_bodies_are_bounded_before_they_are_taken(guarded: Served, token: tuple[Tokens, str]) -> None:
    right = {"Authorization": f"Bearer {token[1]}"}
    url = f"{guarded.url}/v1/images/generations"
    large = json.dumps({"prompt": "a" * 20_000}).encode()
    assert code(httpx.post(url, content=large, headers=right)) == (413, "too_large")
    chunks = (large[k : k + 1000] for k in range(0, len(large), 1000))
    assert code(httpx.post(url, content=chunks, headers={**right, "Content-Type": "application/json"})) == (
        413, "too_large",
    )  # fmt: skip
    head = f"POST /v1/images/generations HTTP/1.1\r\nHost: 127.0.0.1:{guarded.port}\r\nContent-Length: 9e9\r\n"
    with socket.create_connection(("127.0.0.1", guarded.port)) as raw:
        raw.sendall(f"{head}Authorization: Bearer {token[1]}\r\n\r\n".encode())
        assert raw.recv(100).startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))


def test_whoever_comes_too_often_is_told_when_to_come(guarded: Served, token: tuple[Tokens, str]) -> None:
    right = {"Authorization": f"Bearer {token[1]}"}
    with httpx.Client(base_url=guarded.url, headers=right) as client:
        answers = [client.get("/v1/models") for _ in range(13)]
    assert code(answers[-1]) == (429, "rate_limit_exceeded")
    assert int(answers[-1].headers["retry-after"]) > 1


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Host": "evil.example"}, "wrong_host"),
        ({"Host": "127.0.0.1.evil.example"}, "wrong_host"),
        ({"Host": ""}, "wrong_host"),
        ({"Host": "[::1"}, "wrong_host"),
        ({"Origin": "https://evil.example"}, "wrong_origin"),
        ({"Origin": "http://127.0.0.1:1"}, "wrong_origin"),
        ({"Origin": "null"}, "wrong_origin"),
    ],
)
def test_strangers_are_refused(served: Served, headers: dict[str, str], expected: str) -> None:
    assert code(httpx.get(f"{served.url}/v1/models", headers=headers)) == (403, expected)
    with pytest.raises(InvalidStatus), connect(f"ws{served.url[4:]}/v1/device", additional_headers=headers):
        pass


def test_own_pages_may_ask(served: Served) -> None:
    for host in ("127.0.0.1", "localhost"):
        headers = {"Host": f"{host}:{served.port}", "Origin": f"http://{host}:{served.port}"}
        assert httpx.get(f"{served.url}/v1/models", headers=headers).status_code == 200


def test_answers_allow_nothing_and_repeat_nothing(served: Served) -> None:
    odd = "<script>alert(1)</script>"
    answer = httpx.get(f"{served.url}/v1/models/{odd}")
    assert "<script>" not in answer.text
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers or "uvicorn" in answer.headers["server"]
    refused = httpx.post(f"{served.url}/v1/images/generations", json={"prompt": "a", "n": odd})
    assert refused.status_code == 422
    assert "<script>" not in refused.text
    assert "<script>" not in httpx.get(f"{served.url}/metrics").text
    assert code(httpx.get(f"{served.url}/nothing"))[0] == 404


def test_a_bucket_fills_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    rates = Rates(2.0, 2)
    rates.take("a")
    rates.take("a")
    with pytest.raises(RefusedError) as error:
        rates.take("a")
    assert error.value.retry_after_s == pytest.approx(0.5)
    rates.take("b")
    now[0] += 0.5
    rates.take("a")


def test_tokens_are_kept_as_digests(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    tokens, secret = read_tokens(path).add("phone")
    write_tokens(path, tokens)
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again, other = read_tokens(path).add("laptop")
    assert (again.name_of(secret), again.name_of(other), again.name_of("é\udc80")) == ("phone", "laptop", None)
    assert again.without("phone").name_of(secret) is None
    for name in ("phone", "", "a b", "../x", "a" * 65):
        with pytest.raises(ConfigError, match="name"):
            tokens.add(name)
    with pytest.raises(ConfigError, match="no token"):
        tokens.without("nobody")
    path.write_text("{}")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_tokens(path)


def test_others_get_in_by_token_and_not_in_the_open(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="plain"):
        Listening("0.0.0.0")
    with pytest.raises(ConfigError, match="certificate"):
        Listening(certificate=tmp_path / "a.pem")
    doors, made = Listening("0.0.0.0", plain=True, tokens=tmp_path / "none.json").doors()
    assert doors.tokens is not None
    assert doors.tokens.name_of(made or "") == "session"
    assert Listening(tokens=tmp_path / "none.json").doors() == (Doors(hosts_of("127.0.0.1", ())), None)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="port"):
        Listening(port=taken.getsockname()[1]).bound()


def test_who_is_revoked_while_an_edge_serves_stays_outside(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    tokens, phone = Tokens().add("phone")
    write_tokens(path, tokens)
    doors, made = Listening("0.0.0.0", plain=True, tokens=path).doors()
    assert (made, doors.caller_of(phone)) == (None, "phone")
    tokens, laptop = tokens.add("laptop")
    write_tokens(path, tokens)
    assert doors.caller_of(laptop) == "laptop"
    write_tokens(path, tokens.without("phone"))
    with pytest.raises(RefusedError, match="token"):
        doors.caller_of(phone)
    path.unlink()
    with pytest.raises(RefusedError, match="token"):
        doors.caller_of(laptop)
