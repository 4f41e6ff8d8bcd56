"""Numbers that a running edge server counts, as the demand that orchestration plans for."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

from gainnet.core.errors import ConfigError, import_extra
from gainnet.core.outside import reading
from gainnet.orchestration.joint import Measured

_TIMEOUT_S: Final = 10.0
_MOST_BYTES: Final = 1 << 22


def measured(url: str, token: str | None = None) -> Measured:
    """Rate, processor time and channel uses of the requests that an edge has answered since its first.

    Args:
        url: of the edge, `http://host:port`; a token may stand behind `#`.
        token: that the edge asks for.

    Raises:
        ConfigError: no edge answers there, or it has answered nobody yet.
        MissingExtraError: prometheus-client is not installed.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ConfigError(f"edge: {url!r} is no address; give http://host:port as serve shows it")
    address = urlunsplit((parts.scheme, parts.netloc, "/metrics", "", ""))
    bearer = token or parts.fragment
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    try:
        with urlopen(Request(address, headers=headers), timeout=_TIMEOUT_S) as answer:
            text = answer.read(_MOST_BYTES).decode("utf-8", "replace")
    except (URLError, OSError) as error:
        raise ConfigError(f"edge: {address} does not answer ({error}); is it there, and is the token right?") from None
    return measured_of(text, time.time())


def measured_of(text: str, now_s: float) -> Measured:
    """The demand that a page of metrics tells of; raises as `measured`.

    Args:
        text: in Prometheus' format.
        now_s: time at which it was read, in s since 1970.
    """
    parser: Any = import_extra("prometheus_client.parser", "prometheus-client", "serve")
    value: dict[tuple[str, str], float] = defaultdict(float)
    with reading("edge", ConfigError):
        for family in parser.text_string_to_metric_families(text):
            for sample in family.samples:
                value[sample.name, _label(sample.labels)] += sample.value
    num, begin_s = value["gainnet_requests_total", "done"], value["gainnet_requests_created", "done"]
    if num < 1 or begin_s <= 0:
        raise ConfigError("edge: it has answered nobody yet; let it answer something first, or leave --edge out")
    busy_s = sum(x for (name, _), x in value.items() if name == "gainnet_busy_seconds_total")
    uses = value["gainnet_channel_uses_total", "down"]
    # The counter begins with the first request that ended, so what came after it are intervals.
    rate = max(num - 1, 1) / max(now_s - begin_s, 1.0)
    return Measured(rate, busy_s / num, uses / num if uses > 0 else None)


def _label(labels: Mapping[str, str]) -> str:
    return next(iter(labels.values()), "")
