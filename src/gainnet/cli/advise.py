"""Advice: `advise`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from gainnet.catalog.records import GenerationConfig
from gainnet.cli.generate import GENERATION, RECORD, Goal, announce
from gainnet.cli.options import Asked, Fields, command
from gainnet.cli.printing import print_json, print_table, say, status
from gainnet.core.errors import ConfigError

if TYPE_CHECKING:
    from gainnet.generation.advice import Trial

_NAMES = (
    "snr_db", "fading", "hardware", "edge_hardware", "num_edges", "image", "strength", "priced_as", "bandwidth_hz",
    "num_steps", "model", "random_seed",
)  # fmt: skip
Spare = Literal["energy", "air", "time"]
"""Names of the goals of a choice."""
_GOALS: Final[Mapping[Spare, Goal]] = {"energy": "energy", "air": "uses", "time": "latency"}
_USUAL_DB: Final = 25.0
"""PSNR below which a picture is plainly another one, the usual bound of a choice by tables."""

_TRIED = {
    "protocol": "protocol", "shown of prompt": "prompt_fidelity", "PSNR dB": "psnr_db", "time s": "duration_p50_s",
    "95 % within s": "duration_p95_s", "device J": "device_energy_j", "channel uses": "num_channel_uses",
}  # fmt: skip
"""Without reasons, which follow as sentences: with them the columns do not fit into 80 characters."""
_SHOWN = {
    "configuration": "configuration", "channel uses": "num_channel_uses", "device J": "device_energy_j",
    "time s": "latency_s", "PSNR dB": "psnr_db", "out because": "reason",
}  # fmt: skip
"""Columns of the table for people: few, so that they fit into 80 characters."""
_EXACT_DB = 99.0
"""PSNR that tables have for a picture without an error."""


# Its captions are drawn scenes, whose model is therefore the usual one.
_DEFAULTS = {**GENERATION.defaults, "model": "scenes"}


@command("advise", Fields(RECORD, _NAMES, defaults=_DEFAULTS, panels=GENERATION.panels))
def advise(
    asked: Asked,
    *,
    deadline_s: float | None = None,
    photographs: Path | None = None,
    uses_per_value: float = 1 / 96,
    spare: Spare | None = None,
    decide: Goal | None = None,
    max_energy_j: float | None = None,
    min_psnr_db: float | None = None,
    try_all: bool = False,
    yes: bool = False,
    as_json: bool = False,
) -> None:
    """Say which protocol to use in one case, with reasons: from measured tables, or by trying all on a few captions.

    Args:
        deadline_s: the picture has to be there by then, in 95 %.
        photographs: folder of a run of the study photographs; says how to send a photograph instead, as a seed or by
            which codec.
        uses_per_value: complex channel uses per pixel value of a photograph.
        spare: what is spared first: energy of the device, air as channel uses, or time; energy when left out.
        decide: the same in the words of generate --decide; leave one of the two out.
        max_energy_j: most energy of the device.
        min_psnr_db: PSNR that 90 % of pictures reach, against those of one machine alone, or pictures on average when
            all are tried; 25 by tables when left out.
        try_all: run every protocol on a few captions, which takes minutes; always so where nothing was measured.
        yes: try all where that is expected to take more than ten minutes here.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet advise --snr-db 5 --spare air --min-psnr-db 26
    """
    if spare is not None and decide is not None:
        raise ConfigError("spare: it says the same as decide; leave one of the two out")
    goal = decide or _GOALS[spare or "energy"]
    if deadline_s is not None and not 0.0 < deadline_s < float("inf"):
        raise ConfigError(f"deadline_s: {deadline_s} must be a positive time; give seconds")
    config = GenerationConfig(("a red star",), **asked.values)
    if photographs is not None:
        return _advise_photographs(photographs, config.snr_db, uses_per_value, as_json)
    if not try_all and config.num_steps is None and _is_measured(config):
        least_db = _USUAL_DB if min_psnr_db is None else min_psnr_db
        bounds = {"max_latency_s": deadline_s, "max_energy_j": max_energy_j, "min_psnr_db": least_db}
        return _advise_by_tables(config, {"decide": goal, **bounds}, as_json)
    kept = {"decide": goal, "max_energy_j": max_energy_j, "min_psnr_db": min_psnr_db}
    return _advise_by_trials(config, deadline_s, kept, yes, as_json)


def _advise_by_trials(
    config: GenerationConfig, deadline_s: float | None, bounds: dict[str, Any], yes: bool, as_json: bool
) -> None:
    """All protocols, priced and run on a few captions."""
    with status("loading") as show:
        from gainnet.catalog.deciding import wanted_of
        from gainnet.catalog.opening import open_request
        from gainnet.generation.advice import CAPTIONS, reasons
        from gainnet.generation.advice import advise as run
        from gainnet.generation.judging import captions_of
        from gainnet.generation.sentences import unknown_lines
        from gainnet.models.shipped import unknown_words

        wanted = wanted_of(bounds)
        asked_for = open_request(replace(config, prompts=CAPTIONS))
        model = asked_for.model
        captions = captions_of(model, CAPTIONS)
        warnings = [asdict(each) for each in unknown_words(model.name, captions)]
        best, trials = run(
            model, air=asked_for.air, captions=captions, picture=asked_for.picture,
            strength=asked_for.strength, deadline_s=deadline_s, priced_as=asked_for.priced_as,
            random_seed=config.random_seed, watch=show, wanted=wanted,
            agree=lambda seconds: announce(seconds, yes, "fewer steps"),
        )  # fmt: skip
    because = (
        reasons(best, trials, deadline_s, len(captions), wanted.minimise)
        if best
        else [f"{t.protocol} is out: {t.reason}" for t in trials]
    )
    rows = [asdict(trial) for trial in trials]
    name = best.protocol if best else None
    if as_json:
        asked_of = {"model": model.name, "captions": captions, "warnings": warnings}
        return print_json({"protocol": name, "reasons": because, "trials": rows, **asked_of})
    for line in unknown_lines(model.name, warnings):
        say(line)
    title = f"{config.fading} at {config.snr_db:g} dB, {config.hardware}, priced as {config.priced_as}"
    _print_choice(title, _TRIED, [_tried(each) for each in trials])
    say(f"use {name}" if name else "no protocol fits")
    for reason in because:
        say(f"- {reason}")
    return None


def _is_measured(config: GenerationConfig) -> bool:
    from gainnet.catalog.deciding import unmeasured

    return unmeasured(config) is None


def _advise_by_tables(config: GenerationConfig, bounds: dict[str, Any], as_json: bool) -> None:
    """Every configuration with what it costs and how good it is, by the tables of decisions; nothing runs."""
    from gainnet.catalog.deciding import decided, described, wanted_of

    _, found = decided(replace(config, model=None), wanted_of(bounds))
    rows = [
        {
            "protocol": str(each.configuration.settings["protocol"]).partition("(")[0],
            "configuration": each.configuration.name, "reason": each.reason, "psnr_db": each.psnr_db,
            "psnr_p10_db": each.psnr_p10_db, "latency_s": each.latency_s, "latency_p95_s": each.latency_p95_s,
            "device_energy_j": each.energy_j, "energy_j": each.total_energy_j,
            "num_channel_uses": each.num_channel_uses, "delivered": each.delivered, "edge_power": each.power,
        }
        for each in found.considered
    ]  # fmt: skip
    decision = described(found)
    name = decision["protocol"] if found.keeps else None
    if as_json:
        rest: dict[str, Any] = {"decision": decision, "model": config.model, "captions": [], "warnings": []}
        return print_json({"protocol": name, "reasons": decision["reasons"], "trials": rows, **rest})
    title = f"{config.fading} at {config.snr_db:g} dB, {config.hardware}, priced as {config.priced_as}"
    # The best of each protocol, and of those that keep no bound the first: dozens of rows would hide the choice.
    first = {row["protocol"]: row for row in reversed(rows)}
    best = [row for row in rows if first[row["protocol"]] is row]
    _print_choice(title, _SHOWN, best)
    if len(rows) > len(best):
        say(f"the best of each protocol; {len(rows) - len(best)} more configurations with --json")
    say(f"use {decision['configuration']}" if name else "nothing keeps all bounds")
    for reason in decision["reasons"]:
        say(f"- {reason}")
    return None


def _tried(trial: Trial) -> dict[str, Any]:
    """A trial as a row; nothing is known of one that could not be made, and without a PSNR it was exact."""
    if trial.duration_p50_s is None:
        return {**asdict(trial), "num_channel_uses": None}
    exact = {"psnr_db": math.inf} if trial.psnr_db is None else {}
    return {**asdict(trial), **exact, "num_channel_uses": trial.spent("uses")}


def _print_choice(title: str, shown: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Candidates in order, without a column of reasons where nothing is out."""
    kept = {head: key for head, key in shown.items() if key != "reason" or any(row[key] for row in rows)}
    print_table(title, tuple(kept), [{head: _short(key, row[key]) for head, key in kept.items()} for row in rows])


def _short(column: str, value: Any) -> Any:
    if column == "psnr_db" and value is not None and value >= _EXACT_DB:
        return "exact"
    if column == "num_channel_uses" and value is not None:
        return f"{value:,.0f}"
    return f"{value:.4g}" if isinstance(value, float) else value


def _advise_photographs(run: Path, snr_db: float, uses_per_value: float, as_json: bool) -> None:
    if not 0.0 < uses_per_value < 1.0:
        raise ConfigError(f"uses_per_value: {uses_per_value:g} must be above 0 and below 1")
    from gainnet.studies.photographs.summary import recommended_by

    advice = recommended_by(run, snr_db, uses_per_value)
    if as_json:
        return print_json(advice)
    rows = [{"method": name, "feature distance": x} for name, x in advice["feature_distance"].items()]
    title = f"Photographs at {advice['snr_db']:g} dB, {advice['uses_per_value']}"
    print_table(title, ("method", "feature distance"), rows)
    say(f"use {advice['method']}")
    return None
