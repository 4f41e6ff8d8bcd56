"""A configuration in texts, decided for one request: protocol, codec, steps and power come from measured tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from typing import Any, Final

from gainnet.catalog.opening import air_of
from gainnet.catalog.records import IDEAL, GenerationConfig
from gainnet.core.errors import ConfigError
from gainnet.generation.cell import Cell
from gainnet.generation.decision import Decision, State, Wanted, decide, usable_table
from gainnet.protocols import pricing

DECIDED: Final = ("protocol", "codec", "num_steps", "cut", "num_channel_uses", "num_candidates", "edge_power")
"""Fields that a decision fills in."""
UNMEASURED: Final = (
    "image", "network", "trace", "delivery", "cooperation", "guidance_scale", "height", "width", "num_edges",
    "num_devices", "report_error_db", "report_delay", "power", "harq",
)  # fmt: skip
"""Fields whose other values no table was measured for."""


def unmeasured(config: GenerationConfig) -> str | None:
    """Name of a field that no table was measured for; `None` where decisions can be made.

    >>> unmeasured(GenerationConfig(("a red star",), num_edges=2))
    'num_edges'
    """
    changed = next((name for name in UNMEASURED if getattr(config, name) != _default(name)), None)
    if changed is None and config.fading == IDEAL:
        return "fading"
    return "model" if changed is None and config.model not in (None, usable_table().model) else changed


def decided(config: GenerationConfig, wanted: Wanted, queue_s: float = 0.0) -> tuple[GenerationConfig, Decision]:
    """The configuration that serves a request, and the decision behind it.

    Args:
        config: air, nodes and prices; what is decided is left at its default.
        wanted: goal and bounds.
        queue_s: time until the edge begins with the request.

    Raises:
        ConfigError: something is given that is decided, or for which nothing was measured.
    """
    if given := [name for name in DECIDED if getattr(config, name) != _default(name)]:
        raise ConfigError(f"{given[0]}: it is decided; leave it out, or leave decide out")
    if odd := unmeasured(config):
        raise ConfigError(f"{odd}: decisions are measured without it; leave it out, or leave decide out")
    found = decide(wanted, state_of(config, queue_s), usable_table())
    return replace(config, **{"model": usable_table().model, **found.settings}), found


def state_of(config: GenerationConfig, queue_s: float = 0.0) -> State:
    """The state that a decision sees of a configuration; raises `ConfigError` where its nodes or its air are none.

    Args:
        config: in texts.
        queue_s: time until the edge begins with the request.
    """
    over = air_of(config)
    if not isinstance(over, Cell):
        raise ConfigError("decide: decisions are made for one edge and one device; leave the file out")
    return State(over.air, over.device, over.edge, queue_s, pricing(config.priced_as))


def wanted_of(bounds: Mapping[str, Any]) -> Wanted:
    """Goal and bounds from plain values, as options and requests give them; `None` is no bound.

    Args:
        bounds: `decide`, and any of `max_latency_s`, `max_energy_j` and `min_psnr_db`.

    Raises:
        ConfigError: a value is of another type or out of range.
    """
    called = {"max_latency_s": "latency_s", "max_energy_j": "energy_j", "min_psnr_db": "psnr_db"}
    given = {name: x for name, x in bounds.items() if name in called and x is not None}
    if wrong := [name for name, x in given.items() if isinstance(x, bool) or not isinstance(x, int | float)]:
        raise ConfigError(f"{wrong[0]}: must be a number")
    return Wanted(bounds["decide"], **{called[name]: float(x) for name, x in given.items()})


def described(decision: Decision) -> dict[str, Any]:
    """A decision as plain values, for reports and answers."""
    chosen, configuration = decision.chosen, decision.chosen.configuration
    return {
        "configuration": configuration.name, "settings": dict(decision.settings), "keeps": decision.keeps,
        "protocol": str(configuration.settings["protocol"]).partition("(")[0], "cut": configuration.cut,
        "num_steps": configuration.num_steps, "codec": configuration.settings.get("codec", {}),
        "num_channel_uses": chosen.num_channel_uses, "bits_per_symbol": decision.bits_per_symbol,
        "code_rate": decision.code_rate, "edge_power": chosen.power, "latency_s": chosen.latency_s,
        "latency_p95_s": chosen.latency_p95_s, "device_energy_j": chosen.energy_j,
        "energy_j": chosen.total_energy_j, "psnr_db": chosen.psnr_db, "psnr_p10_db": chosen.psnr_p10_db,
        "reasons": list(decision.reasons),
    }  # fmt: skip


def _default(name: str) -> Any:
    each = next(each for each in fields(GenerationConfig) if each.name == name)
    return each.default_factory() if each.default_factory is not MISSING else each.default
