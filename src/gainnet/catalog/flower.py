"""Settings of an app, between Flower's flat table and a `LearnConfig`, and the folder that `flwr run` takes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

from gainnet.catalog.drawing import OF_DRAWING
from gainnet.catalog.learning import config_of, method_of, open_session, safeguards_config_of
from gainnet.catalog.records import LearnConfig, SafeguardsConfig
from gainnet.core.errors import ConfigError, check_range
from gainnet.core.files import write_whole
from gainnet.learning.algorithms.methods import Split
from gainnet.learning.session import Session

Value = bool | int | float | str
"""A value of Flower's configuration."""

_SAFEGUARDS = tuple(field.name for field in fields(SafeguardsConfig))
_OF_OTHERS = ("cut", "codec", "edge_rate", "texts", *OF_DRAWING)
"""Fields of split learning and of drawing; and text, which is a matter of every node."""


@final
@dataclass(frozen=True)
class AppSettings:
    """Settings of a run of the app.

    Args:
        config: who learns what and how.
        out: folder of the edge's machine for checkpoint and records.
        timeout_s: how long the edge waits in a round for clients that are silent, and for their first appearance.
        safeguards: of the rounds; none when `None`.

    Raises:
        ConfigError: the algorithm does not train between two messages, or the edge would not wait.
    """

    config: LearnConfig
    out: str
    timeout_s: float = 600.0
    safeguards: SafeguardsConfig | None = None

    def __post_init__(self) -> None:
        if isinstance(method_of(self.config), Split):
            steps = f"the steps of {self.config.algorithm} do not travel as messages"
            raise ConfigError(f"algorithm: {steps}; choose fedavg, soft_prompt, lora or adapter, or use gainnet split")
        if self.config.task != "text":
            raise ConfigError("task: pictures are learned in one process yet; choose the task text, or gainnet learn")
        if self.config.texts is not None:
            raise ConfigError("texts: every node has its own; give it in the configuration of the node")
        check_range(self.timeout_s > 0.0, "timeout_s", self.timeout_s, "a positive number of seconds")

    def open(self) -> Session:
        """Objects that the edge needs, as of `open_session`."""
        # As text, which is how Flower's table comes back from a run that goes on.
        table = {k: str(v) for k, v in self.to_table().items() if k not in ("rounds", "random_seed", "out")}
        session = open_session(self.config, self.safeguards)
        if self.safeguards is not None:
            # Privacy's noise depends on the number of rounds, so a run with another number is another run.
            table["promise"] = json.dumps(session.settings.get("privacy"))
        return replace(session, settings=table)

    def to_table(self) -> dict[str, Value]:
        """Flower's flat table.

        >>> AppSettings(LearnConfig("fedavg"), "out").to_table()["domains"]
        'cardiology,oncology,endocrinology'
        """
        table = {name: value for name, value in asdict(self.config).items() if name not in _OF_OTHERS}
        table |= {} if self.safeguards is None else asdict(self.safeguards)
        return table | {"domains": ",".join(self.config.domains), "out": self.out, "timeout_s": self.timeout_s}

    @staticmethod
    def of_table(table: Mapping[str, Any]) -> AppSettings:
        """The inverse of `to_table`; what is missing has its default.

        Raises:
            ConfigError: a field is unknown, of a wrong type or out of range.

        >>> AppSettings.of_table(AppSettings(LearnConfig("lora", rank=4), "o").to_table()).config.rank
        4
        """
        mine = dict(table)
        try:
            out, timeout_s = str(mine.pop("out")), float(mine.pop("timeout_s", 600.0))
        except (KeyError, ValueError):
            raise ConfigError("out: the app names no folder, or no number of seconds; see docs/engines.md") from None
        if "domains" in mine:
            mine["domains"] = tuple(str(mine["domains"]).split(","))
        guarded = {name: mine.pop(name) for name in _SAFEGUARDS if name in mine}
        return AppSettings(config_of(mine), out, timeout_s, safeguards_config_of(guarded) if guarded else None)


_HEAD = Path(__file__).with_name("flower_app.toml").read_text(encoding="utf-8")


def write_app(folder: Path, settings: AppSettings) -> None:
    """A Flower app with these settings; `flwr run FOLDER --run-config` changes any of them for one run.

    Args:
        folder: made when missing.
        settings: what decides a run.
    """
    # JSON has no infinity and TOML does; everything else is written alike in both.
    values = {n: "inf" if value == math.inf else json.dumps(value) for n, value in settings.to_table().items()}
    lines = "".join(f"{name} = {value}\n" for name, value in values.items())
    write_whole(folder / "pyproject.toml", (_HEAD.format(version=version("gainnet")) + lines).encode())
