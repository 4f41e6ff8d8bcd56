"""Measuring the table that decisions are made from: every configuration at every SNR, with and without fading."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from gainnet.catalog.opening import open_request
from gainnet.catalog.records import GenerationConfig
from gainnet.core.files import check_outside_package, check_writable
from gainnet.core.randomness import Random
from gainnet.core.run.loop import silent
from gainnet.core.types import Bits, Place
from gainnet.core.units import db_to_linear
from gainnet.generation.decision.table import STAGES, save_table
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import weights_sha256
from gainnet.models.students import find_student
from gainnet.network.scenario import DEVICE
from gainnet.protocols.plan import Compute, Plan, Transfer
from gainnet.radio import AWGN, Air, Arq, Channel, Rayleigh
from gainnet.radio.coding.attempts import attempts_for
from gainnet.radio.coding.mcs import MAX_CODEWORD_BYTES, NUM_CRC_BITS
from gainnet.studies.decision.bench import Bench, Run, sent
from gainnet.studies.decision.configurations import NUM_STEPS, Candidate, candidates, fast_candidates
from gainnet.studies.pictures import captions

FADINGS: Final[Mapping[str, Channel]] = {"awgn": AWGN(), "rayleigh": Rayleigh()}
FEEDBACK_S: Final = Arq().feedback_delay_s
FIRST_RANDOM_SEED: Final = 7 << 40
"""Of the noise of measured pictures; no training, study or user draws there."""
HIGHEST_PSNR_DB: Final = 99.0


@final
@dataclass(frozen=True)
class Measuring:
    """How much is measured.

    Args:
        num_pictures: on which every configuration runs at every point.
        snrs_db: mean Es/N0, rising.
        names: configurations; all when empty.
    """

    num_pictures: int = 64
    snrs_db: tuple[float, ...] = (-10.0, -7.5, -5.0, -2.5, 0.0, 2.5, 5.0, 7.5, 10.0, 12.5, 15.0, 20.0)
    names: tuple[str, ...] = ()


PRESETS: Final = {
    "default": Measuring(),
    "tiny": Measuring(2, (0.0, 10.0), ("centralized avif 45", "eiug transform 60", "device_only 5 steps")),
}
"""Name -> how much: `default` made the shipped table, `tiny` only shows that everything runs."""


def measure(
    out: Path,
    model_name: str = "scenes",
    random_seed: int = 0,
    how: Measuring = PRESETS["default"],
    progress: Any = silent,
) -> str:
    """Measures `out/table.json`; returns its digest.

    Args:
        out: folder outside of the package.
        model_name: of a model with a transform code, corrections and fitted drafts; where a fast model is installed for
            it, configurations of few passes are measured, too.
        random_seed: of captions, noise and fading.
        how: how much, see `PRESETS`.
        progress: receives (configurations that are measured, configurations in all, name).

    Raises:
        ConfigError: the folder cannot be written.
        ModelError: weights are missing.
    """
    check_writable(out)
    check_outside_package(out)
    texts = captions("decision table", random_seed, how.num_pictures)
    first = FIRST_RANDOM_SEED + (random_seed << 20)
    bench = Bench(model_name, texts, Random.of(range(first, first + len(texts))))
    student = find_student(bench.model().sha256)
    known = candidates() if student is None else (*candidates(), *fast_candidates(bench.correction.drafts))
    chosen = [each for each in known if not how.names or each.name in how.names]
    rows = []
    for count, candidate in enumerate(chosen):
        progress(count, len(chosen), candidate.name)
        # The row names the fast model, so that a decision never asks for one that is not there.
        fast = {"student_sha256": weights_sha256(student)} if student and candidate.form == "fast" else {}
        rows.append({**_row(bench, candidate, how), **fast})
    model = bench.model()
    parts = {"text_encoder": model.text_encoder, "denoiser": model.denoiser, "decoder": model.decoder}
    values = {
        "model": model.name, "model_sha256": model.sha256, "num_pictures": len(texts), "random_seed": random_seed,
        "captions_sha256": hashlib.sha256("\n".join(texts).encode()).hexdigest(),
        "snrs_db": list(how.snrs_db), "fadings": list(FADINGS), "prompt": _prompt(bench, how),
        "shipped": {role: [part.flops / part.num_passes, part.memory_bytes] for role, part in parts.items()},
        "configurations": rows,
    }  # fmt: skip
    return save_table(out / "table.json", values)


def _row(bench: Bench, candidate: Candidate, how: Measuring) -> dict[str, Any]:
    items = range(len(bench.prompts))
    measured = {
        fading: _columns([bench.over(candidate, items, Air(channel, snr_db)) for snr_db in how.snrs_db])
        for fading, channel in FADINGS.items()
    }
    settings: dict[str, Any] = {name: dict(x) if name == "codec" else x for name, x in candidate.settings}
    settings |= {} if candidate.num_steps == NUM_STEPS else {"num_steps": candidate.num_steps}
    strings = () if candidate.kind == "linear" else bench.coded(candidate).strings
    num_bits = None if candidate.kind == "linear" else 8.0 * sum(map(len, strings)) / len(items)
    return {
        "name": candidate.name, "settings": settings, "cut": candidate.cut, "num_steps": candidate.num_steps,
        "num_bits": num_bits, "measured": measured, **work_of(candidate, bench.model(candidate.num_steps)),
        "scheme": [scheme_at(num_bits, snr_db) for snr_db in how.snrs_db] if num_bits else [],
    }  # fmt: skip


def _columns(runs: Sequence[Sequence[Run]]) -> dict[str, list[float]]:
    """Columns [num_snrs] of runs at every SNR."""
    errors = np.array([[run.error for run in point] for point in runs])
    uses = np.array([[run.num_channel_uses for run in point] for point in runs])
    waits = np.array([[run.num_waits for run in point] for point in runs])
    delivered = np.array([[run.is_delivered for run in point] for point in runs])
    columns = {
        "uses": uses.mean(1), "uses_p95": np.quantile(uses, 0.95, axis=1), "feedback_s": FEEDBACK_S * waits.mean(1),
        "psnr_db": _psnr_db(errors.mean(1)), "psnr_p10_db": _psnr_db(np.quantile(errors, 0.9, axis=1)),
        "delivered": delivered.mean(1),
    }  # fmt: skip
    return {name: [round(float(x), 6 if name == "feedback_s" else 3) for x in row] for name, row in columns.items()}


def _psnr_db(errors: Any) -> Any:
    return -10 * np.log10(np.maximum(errors, 10 ** (-HIGHEST_PSNR_DB / 10)))


def _prompt(bench: Bench, how: Measuring) -> Mapping[str, Any]:
    """Columns of the prompt on its way up, which has no quality."""
    payload = Bits(tuple(text.encode() for text in bench.prompts), bench.random.batch)
    measured = {}
    for fading, channel in FADINGS.items():
        points = []
        for snr_db in how.snrs_db:
            arrived, uses, waits = sent(payload, Air(channel, snr_db), bench.random.child("prompt"))
            points.append([Run(0.0, *each) for each in zip(uses, waits, arrived, strict=True)])
        measured[fading] = _columns(points)
    return measured


def scheme_at(num_bits: float, snr_db: float) -> tuple[int, float]:
    """Bits per symbol and code rate of the first attempt of a string of that mean length.

    >>> scheme_at(456.0, 10.0)[0]
    4
    """
    num_bytes = min(max(1, round(num_bits / 8)), MAX_CODEWORD_BYTES)
    arq = Arq()
    attempts = attempts_for(num_bytes, float(db_to_linear(snr_db)), arq.max_attempts, arq.target_bler)
    rate = (8 * num_bytes + NUM_CRC_BITS) / (attempts.ends[0] * attempts.bits_per_symbol)
    return attempts.bits_per_symbol, round(rate, 4)


def work_of(candidate: Candidate, model: DiffusionModel) -> dict[str, Any]:
    """Passes by stage and role, FLOPs of parts without a role by stage, and the roles that the device holds.

    Args:
        candidate: whose plan is made.
        model: with as many steps.
    """
    fields: dict[str, Any] = {name: dict(x) if name == "codec" else x for name, x in candidate.settings}
    plan = open_request(GenerationConfig(("a red star",), **fields), model).make_plan().plan
    passes: dict[str, dict[str, float]] = {stage: {} for stage in STAGES}
    flops = dict.fromkeys(STAGES, 0.0)
    roles: list[str] = []
    for stage, step in _staged(plan):
        part = step.part
        if stage != "edge" and part.role not in ("other", "prior", *roles):
            roles.append(part.role)
        if part.role in ("other", "prior"):
            flops[stage] += part.flops
        else:
            passes[stage][part.role] = passes[stage].get(part.role, 0.0) + part.num_passes
    return {"passes": passes, "flops": flops, "roles": roles}


def _staged(plan: Plan) -> list[tuple[str, Compute]]:
    """The computations of a plan with their stages: the device's are `after` where they wait for something sent."""
    arrived: set[Place] = set()
    found: list[tuple[str, Compute]] = []
    for step in plan.steps:
        if isinstance(step, Transfer):
            arrived |= {place for place in step.makes if place[0] == DEVICE}
        elif step.node != DEVICE:
            found.append(("edge", step))
        else:
            waits = bool(arrived & set(step.needs))
            arrived |= set(step.makes) if waits else set()
            found.append(("after" if waits else "before", step))
    return found
