"""Hardware of nodes: rate, memory and power, by name or from a file."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import final

from gainnet.core.errors import ConfigError, check_range, nearest
from gainnet.core.files import read_toml


@final
@dataclass(frozen=True)
class Hardware:
    """A processor with memory and a radio.

    Args:
        peak_flops_per_s: peak rate of the processor in the precision that the model runs in, > 0.
        efficiency: share of the peak that is reached, in (0, 1].
        memory_bytes: memory for parameters, > 0.
        active_power_w: power while computing, >= 0.
        idle_power_w: power while waiting, >= 0.
        tx_power_w: power of the radio while sending, >= 0.
        rx_power_w: power of the radio while receiving, >= 0.

    Raises:
        ConfigError: a field is out of range.

    >>> round(profile("phone").duration_s(1e12), 2)
    0.73
    """

    peak_flops_per_s: float
    efficiency: float
    memory_bytes: float
    active_power_w: float
    idle_power_w: float
    tx_power_w: float
    rx_power_w: float

    def __post_init__(self) -> None:
        ranges = {
            "peak_flops_per_s": (self.peak_flops_per_s > 0.0, "positive and finite"),
            "efficiency": (0.0 < self.efficiency <= 1.0, "a share of the peak in (0, 1]"),
            "memory_bytes": (self.memory_bytes > 0.0, "positive and finite"),
        }
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            is_within, allowed = ranges.get(name, (value >= 0.0, "0 W or more"))
            check_range(is_within and value < math.inf, f"hardware.{name}", value, allowed)

    @property
    def flops_per_s(self) -> float:
        """Rate that is reached."""
        return self.peak_flops_per_s * self.efficiency

    def duration_s(self, flops: float) -> float:
        """Time that a computation takes."""
        return flops / self.flops_per_s


@cache
def profiles() -> Mapping[str, Hardware]:
    """The shipped hardware profiles by name.

    >>> sorted(profiles())
    ['edge_a100', 'edge_l4', 'jetson', 'laptop', 'phone']
    """
    table = tomllib.loads(Path(__file__).with_name("hardware.toml").read_text())
    return {name: Hardware(**fields) for name, fields in table.items()}


def profile(name_or_path: str, field: str = "hardware") -> Hardware:
    """The hardware of that name, or of a TOML file with its fields.

    Args:
        name_or_path: name of a profile, or path of a file that ends in .toml.
        field: setting that it is for, named in errors.

    Raises:
        ConfigError: neither a shipped name nor a readable file of exactly those fields.
    """
    if name_or_path.endswith(".toml"):
        return _from_file(Path(name_or_path), field)
    if name_or_path not in profiles():
        mend = nearest(name_or_path, profiles())
        raise ConfigError(f"{field}: {name_or_path!r} is unknown; {mend}, or give a .toml file")
    return profiles()[name_or_path]


def _from_file(path: Path, field: str) -> Hardware:
    fields, known = read_toml(path, field), set(Hardware.__dataclass_fields__)
    if wrong := sorted(set(fields) ^ known):
        raise ConfigError(
            f"{field}: {path} misses or does not know {', '.join(wrong)}; must have {', '.join(sorted(known))}"
        )
    # A boolean is an integer in Python, but no quantity.
    if wrong := [name for name, x in fields.items() if isinstance(x, bool) or not isinstance(x, int | float)]:
        raise ConfigError(f"{field}: {', '.join(wrong)} in {path} must be a number")
    return Hardware(**fields)
