"""A cloud that is reached over HTTP: any endpoint that speaks chat/completions as OpenAI's does."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from ipaddress import ip_address
from typing import Any, final
from urllib.parse import urlsplit

from gainnet.core.errors import ConfigError
from gainnet.learning.summaries.conclusions import Completion

KEY_VARIABLE = "GAINNET_CLOUD_KEY"
"""Environment variable of the key; nothing else is ever sent as one."""
SYSTEM = "You write conclusions of abstracts of medical trials. Answer with the conclusion alone."
_BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_THOUGHT = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
"""Reasoning that some models write in front of their answer; it is none of the conclusion."""
_LONGEST_WAIT_S = 60.0


@final
@dataclass(frozen=True)
class EndpointCloud:
    """A cloud behind `URL/chat/completions`, sent one prompt after the other at temperature 0.

    A prompt is sent again when the endpoint is busy, does not answer in time or cannot be reached, each time after
    twice the wait, or after the wait that it asks for. The key stands in the environment variable `GAINNET_CLOUD_KEY`;
    it is read when it is sent, and goes neither into errors nor through plain HTTP to another machine.
    Redirections are not followed.

    Args:
        url: up to `/v1`, without user, query or fragment.
        model: as the endpoint names it.
        max_tokens: of a completion.
        timeout_s: of one request.
        num_attempts: of one prompt, at least 1.
        wait_s: before the second attempt.

    Raises:
        ConfigError: the URL is none, or a field is out of range.

    >>> EndpointCloud("http://127.0.0.1:8000/v1/", "small").target
    'http://127.0.0.1:8000/v1/chat/completions'
    """

    url: str
    model: str
    max_tokens: int = 256
    timeout_s: float = 120.0
    num_attempts: int = 4
    wait_s: float = 1.0

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            is_address = False
        if not is_address or parts.username or parts.password or parts.query or parts.fragment:
            raise ConfigError("cloud_url: give http(s)://host[:port]/v1, without user, key, query or fragment")
        if not self.model:
            raise ConfigError("cloud_model: it is empty; give the name by which the endpoint calls its model")
        if self.num_attempts < 1 or self.max_tokens < 1 or not self.timeout_s > 0 or self.wait_s < 0:
            raise ConfigError("cloud: give num_attempts and max_tokens >= 1, timeout_s > 0 and wait_s >= 0")

    @property
    def target(self) -> str:
        """Where prompts go."""
        return f"{self.url.rstrip('/')}/chat/completions"

    def complete(self, prompts: Sequence[str]) -> list[Completion]:
        """As `gainnet.learning.summaries.conclusions.Cloud.complete`; tokens are those that the endpoint counts.

        Raises:
            ConfigError: it refuses, cannot be reached after all attempts, or does not answer as a chat does.
        """
        return [self._completion(prompt) for prompt in prompts]

    def _completion(self, prompt: str) -> Completion:
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}]
        request = {"model": self.model, "messages": messages, "max_tokens": self.max_tokens, "temperature": 0}
        answer = self._answer({**request, "stream": False})
        try:
            (choice, *_), usage = answer["choices"], answer.get("usage") or {}
            text = _text_of(choice["message"])
            counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
            flaw = _flaw_of(choice, text)
        except (KeyError, ValueError, TypeError, AttributeError):
            raise ConfigError(f"cloud_url: {self.target} gave JSON that is no chat completion; check the URL") from None
        num_prompt_tokens, num_completion_tokens = (int(x) if isinstance(x, int | float) else None for x in counts)
        return Completion(text, num_prompt_tokens, num_completion_tokens, flaw)

    def _answer(self, body: dict[str, Any]) -> Any:
        """The JSON that comes back, after as many attempts as it takes."""
        request, wait_s, why = self._request(body), self.wait_s, ""
        for attempt in range(self.num_attempts):
            # The wait doubles, so that a busy server sees fewer of us, and is bounded.
            if attempt:
                time.sleep(min(_LONGEST_WAIT_S, wait_s))
            try:
                with _OPENER.open(request, timeout=self.timeout_s) as answer:
                    return json.loads(answer.read())
            except urllib.error.HTTPError as error:
                why = self._reason(error)
                if error.code not in _BUSY:
                    wants_key = error.code in (401, 403)
                    mend = f"set {KEY_VARIABLE} to a key that it takes" if wants_key else "check URL and cloud_model"
                    raise ConfigError(f"cloud_url: {self.target} refused ({why}); {mend}") from None
                # A server that names a wait knows when it is free again; a shorter one is no reason to hurry.
                wait_s = max(2 * wait_s, _requested_wait_s(error))
            except (OSError, HTTPException) as error:  # URLError and timeouts are OSErrors
                why, wait_s = str(getattr(error, "reason", error)) or type(error).__name__, 2 * wait_s
            except ValueError:
                raise ConfigError(f"cloud_url: {self.target} does not answer with JSON; check the URL") from None
        tried = f"{self.num_attempts} attempts ({why})"
        raise ConfigError(f"cloud_url: {self.target} gave no answer in {tried}; is the server running?")

    def _request(self, body: dict[str, Any]) -> urllib.request.Request:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key := os.environ.get(KEY_VARIABLE, "").strip():
            if self.url.startswith("http://") and not _is_here(urlsplit(self.url).hostname or ""):
                raise ConfigError(f"cloud_url: {KEY_VARIABLE} would travel unencrypted; give an https URL")
            # One header and nothing else carries it, so that errors and logs cannot.
            headers["Authorization"] = f"Bearer {key}"
        return urllib.request.Request(self.target, json.dumps(body).encode(), headers, method="POST")

    def _reason(self, error: urllib.error.HTTPError) -> str:
        """Status and message of an error, in one line, without the key."""
        try:
            message = json.loads(error.read())["error"]["message"]
        except (OSError, ValueError, KeyError, TypeError, HTTPException):
            message = error.reason
        line = " ".join(str(message).split())[:200]
        key = os.environ.get(KEY_VARIABLE, "").strip()
        return f"{error.code} {line.replace(key, '***') if key else line}"


def _text_of(message: Mapping[str, Any]) -> str:
    """The answer of a message: its text, or its parts of text, without reasoning; "" where there is none.

    Raises:
        ValueError: it is neither text nor a list of parts.
    """
    content = message.get("content", "") if "refusal" in message else message["content"]
    if isinstance(content, list):
        content = " ".join(str(part["text"]) for part in content if part.get("type") == "text")
    if not isinstance(content, str | None):
        raise ValueError(f"content: {type(content).__name__} is no text")
    return " ".join(_THOUGHT.sub(" ", content or "").split())


def _flaw_of(choice: Mapping[str, Any], text: str) -> str:
    """Why an answer is not what the model would have written: cut at its length, filtered, refused or empty."""
    reason = choice.get("finish_reason")
    if reason in ("length", "content_filter"):
        return str(reason)
    if text:
        return ""
    return "refusal" if choice["message"].get("refusal") else "empty"


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """Answers that point elsewhere are errors: a prompt and a key go to the address that was given."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirection)


def _requested_wait_s(error: urllib.error.HTTPError) -> float:
    try:
        return float(error.headers.get("Retry-After", 0))
    except ValueError:
        return 0.0


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
