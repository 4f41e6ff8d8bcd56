"""Measured uses and quality of every configuration, over SNR and fading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from gainnet.core.errors import ConfigError
from gainnet.core.files import write_whole
from gainnet.core.weights import user_folder
from gainnet.models.loading import weights_sha256
from gainnet.models.students import find_student
from gainnet.protocols import Pricing

TABLE_PATH: Final = Path(__file__).with_name("table.json")
COLUMNS: Final = ("uses", "uses_p95", "feedback_s", "psnr_db", "psnr_p10_db", "delivered")
"""Measured of a configuration over one fading, each [num_snrs]."""
STAGES: Final = ("edge", "before", "after")
"""Work of the edge; of the device before anything arrives; and of the device after that."""

Array = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Configuration:
    """A configuration of the table.

    Args:
        name: unique in the table.
        settings: options of `gainnet generate` that make it: protocol, codec, num_steps.
        cut: steps on the device of a draft; `None` where there is no cut.
        num_steps: of the denoiser, on the node that runs most of them.
        num_bits: mean payload bits of a picture down; `None` for analog symbols, 0 where nothing is sent.
        passes: forward passes by stage and role, see `STAGES`.
        flops: of parts without a role, by stage.
        roles: parts that the device holds.
        measured: [num_snrs] by fading and column, see `COLUMNS`.
        scheme: (bits per symbol, code rate) of a first attempt at every SNR; empty for analog symbols.
        student_sha256: digest of the fast model that the device runs; empty where it runs none.
    """

    name: str
    settings: Mapping[str, Any]
    cut: int | None
    num_steps: int
    num_bits: float | None
    passes: Mapping[str, Mapping[str, float]]
    flops: Mapping[str, float]
    roles: tuple[str, ...]
    measured: Mapping[str, Mapping[str, Sequence[float]]]
    scheme: tuple[tuple[int, float], ...]
    student_sha256: str = ""

    @property
    def has_edge(self) -> bool:
        """Whether an edge takes part."""
        return bool(self.passes["edge"])


@final
@dataclass(frozen=True, eq=False)
class DecisionTable:
    """Measured configurations of one model.

    Args:
        model: name.
        model_sha256: digest of its weights.
        sha256: digest of the measured values.
        num_pictures: that were measured.
        snrs_db: [num_snrs], rising.
        fadings: that were measured.
        prompt: [num_snrs] by fading and column, of the prompt on its way up.
        shipped: FLOPs of one pass, and bytes, by role, of the model itself.
        configurations: in the order in which they were measured.
    """

    model: str
    model_sha256: str
    sha256: str
    num_pictures: int
    snrs_db: tuple[float, ...]
    fadings: tuple[str, ...]
    prompt: Mapping[str, Mapping[str, Sequence[float]]]
    shipped: Mapping[str, tuple[float, float]]
    configurations: tuple[Configuration, ...]

    @cached_property
    def arrays(self) -> Mapping[str, Mapping[str, Array]]:
        """[num_configurations + 1, num_snrs] by fading and column; the last row is the prompt's."""
        rows = [*(each.measured for each in self.configurations), self.prompt]
        return {f: {c: np.array([row[f][c] for row in rows]) for c in COLUMNS} for f in self.fadings}

    @cached_property
    def passes(self) -> Mapping[str, Array]:
        """[num_configurations, num_roles + 1] by stage: passes of every role, and FLOPs of parts without one."""
        each = self.configurations
        return {
            s: np.array([[*(c.passes[s].get(r, 0.0) for r in self.shipped), c.flops[s]] for c in each]) for s in STAGES
        }

    @cached_property
    def holds(self) -> Array:
        """[num_configurations, num_roles], 1 where the device holds the part of a role."""
        return np.array([[float(role in each.roles) for role in self.shipped] for each in self.configurations])

    def work(self, priced_as: Pricing) -> Mapping[str, Array]:
        """[num_configurations], FLOPs by stage, and `memory_bytes` of the device.

        Args:
            priced_as: model whose FLOPs and bytes are priced.
        """
        prices = np.array([self._price(priced_as, role) for role in self.shipped])
        flops = np.array([*prices[:, 0], 1.0])
        return {**{s: passes @ flops for s, passes in self.passes.items()}, "memory_bytes": self.holds @ prices[:, 1]}

    def _price(self, priced_as: Pricing, role: str) -> tuple[float, float]:
        price = priced_as.price_of_role.get(role)
        return self.shipped[role] if price is None else (price.flops_per_pass, price.memory_bytes)


@lru_cache(maxsize=4)
def load_table(path: Path = TABLE_PATH) -> DecisionTable:
    """The table of a file that `gainnet train decision-table` wrote; the shipped one by default.

    Raises:
        ConfigError: the file is missing or damaged.

    >>> load_table().model
    'scenes'
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if digest_of(found) != found["sha256"]:
            raise ValueError("its digest is another")
        configurations = tuple(
            Configuration(**{**row, "roles": tuple(row["roles"]), "scheme": tuple(map(tuple, row["scheme"]))})
            for row in found["configurations"]
        )
        return DecisionTable(
            found["model"], found["model_sha256"], found["sha256"], found["num_pictures"], tuple(found["snrs_db"]),
            tuple(found["fadings"]), found["prompt"], {k: (a, b) for k, (a, b) in found["shipped"].items()},
            configurations,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"decision table: {path} cannot be read ({error}); make it anew with gainnet train decision-table --out DIR"
        ) from error


def installed_table_path() -> Path:
    """Where a table of the user's own is found, which then takes the place of the shipped one."""
    return user_folder() / "decision" / TABLE_PATH.name


def install_table(path: Path) -> Path:
    """Copies a table to where decisions find it; returns that place.

    Args:
        path: of the JSON file that `gainnet train decision-table` wrote.

    Raises:
        ConfigError: the file is missing or damaged, or the place cannot be written.
    """
    load_table(path)
    write_whole(installed_table_path(), path.read_bytes())
    return installed_table_path()


def usable_table() -> DecisionTable:
    """The table that requests are decided by: the user's own, else the shipped one.

    Configurations whose fast model is not installed, or is another now, are left out.

    Raises:
        ConfigError: the table is damaged.
    """
    path = installed_table_path()
    table = load_table(path) if path.is_file() else load_table()
    if not any(each.student_sha256 for each in table.configurations):
        return table
    return _kept(table, find_student(table.model_sha256))


@lru_cache(maxsize=4)
def _kept(table: DecisionTable, student: Path | None) -> DecisionTable:
    # Remembered, since a digest of weights takes longer than a decision.
    here = ("",) if student is None else ("", weights_sha256(student))
    return replace(table, configurations=tuple(each for each in table.configurations if each.student_sha256 in here))


def save_table(path: Path, values: Mapping[str, Any]) -> str:
    """Writes a table with its digest; returns the digest.

    Args:
        path: of the JSON file.
        values: fields of `DecisionTable` but the digest, as plain values.
    """
    sha256 = digest_of(values)
    write_whole(path, (json.dumps({**values, "sha256": sha256}, indent=None, separators=(",", ":")) + "\n").encode())
    return sha256


def digest_of(values: Mapping[str, Any]) -> str:
    """SHA-256 of a table's values, without the digest itself."""
    rest = {name: value for name, value in values.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
