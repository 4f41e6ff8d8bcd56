"""The folder that `flwr run` takes: settings in a pyproject.toml, and the app where gainnet is installed."""

from __future__ import annotations

import json
import math
from importlib.metadata import version
from pathlib import Path

from gainnet.core.files import write_whole
from gainnet.learning.engines.flower.settings import AppSettings, Value

_HEAD = """\
[project]
name = "gainnet-app"
version = "{version}"
description = "Learn together with devices that keep their text."
license = "Apache-2.0"
dependencies = []  # gainnet itself is installed on every machine; nothing is fetched when a run starts

[tool.flwr.app]
publisher = "gainnet"

[tool.flwr.app.components]
serverapp = "gainnet.learning.engines.flower.app:server_app"
clientapp = "gainnet.learning.engines.flower.app:client_app"

[tool.flwr.app.config]
"""


def write_app(folder: Path, settings: AppSettings) -> None:
    """A Flower app with these settings; `flwr run FOLDER --run-config` changes any of them for one run.

    Args:
        folder: made when missing.
        settings: what decides a run.
    """
    lines = [f"{name} = {_toml(value)}\n" for name, value in settings.to_table().items()]
    write_whole(folder / "pyproject.toml", (_HEAD.format(version=version("gainnet")) + "".join(lines)).encode())


def _toml(value: Value) -> str:
    """A value as TOML.

    >>> [_toml(x) for x in (True, 2, 0.5, math.inf, "a")]
    ['true', '2', '0.5', 'inf', '"a"']
    """
    # JSON has no infinity and TOML does; everything else is written alike in both.
    if isinstance(value, float) and math.isinf(value):
        return "inf"
    return json.dumps(value)
