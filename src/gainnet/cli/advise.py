"""Advice: `advise`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from gainnet.cli.generation_options import (
    BandwidthHz,
    EdgeHardware,
    Fading,
    HardwareName,
    NumEdges,
    NumSteps,
    PictureFile,
    PricedAs,
    SnrDb,
    Strength,
)
from gainnet.cli.options import AsJson, Model, RandomSeed
from gainnet.cli.printing import print_json, print_table, status

app = typer.Typer()


@app.command()
def advise(
    snr_db: SnrDb = 10.0,
    fading: Fading = "awgn",
    hardware: HardwareName = "phone",
    edge_hardware: EdgeHardware = "edge_a100",
    deadline_s: Annotated[float | None, typer.Option(help="The picture has to be there by then, in 95 %.")] = None,
    num_edges: NumEdges = 1,
    image: PictureFile = None,
    strength: Strength = None,
    priced_as: PricedAs = "sd15",
    bandwidth_hz: BandwidthHz = 1e6,
    num_steps: NumSteps = None,
    model: Model = "scenes",
    random_seed: RandomSeed = 0,
    as_json: AsJson = False,
) -> None:
    """Say which protocol to use in one case, with reasons: all are priced, and tried on a few captions."""
    from gainnet.core.errors import ConfigError

    if deadline_s is not None and not 0.0 < deadline_s < float("inf"):
        raise ConfigError(f"deadline_s: {deadline_s} is no time; give a positive number of seconds")
    if strength is not None and image is None:
        raise ConfigError("strength: there is no picture to change; give --image FILE or leave it out")
    with status("loading") as tell:
        from gainnet.generation import GenerationConfig
        from gainnet.generation.advice import CAPTIONS, reasons
        from gainnet.generation.advice import advise as try_all

        config = GenerationConfig(
            CAPTIONS, "eiug", snr_db, fading, model=model, hardware=hardware, edge_hardware=edge_hardware,
            priced_as=priced_as, bandwidth_hz=bandwidth_hz, num_steps=num_steps, random_seed=random_seed,
            image=image, strength=strength, num_edges=num_edges,
        )  # fmt: skip
        best, trials = try_all(config, deadline_s, watch=tell)
    because = (
        reasons(best, trials, deadline_s, len(CAPTIONS))
        if best
        else [f"{t.protocol} is out: {t.reason}" for t in trials]
    )
    rows = [asdict(trial) for trial in trials]
    name = best.protocol if best else None
    if as_json:
        return print_json({"protocol": name, "reasons": because, "trials": rows})
    columns = (
        "protocol",
        "prompt_fidelity",
        "psnr_db",
        "duration_p50_s",
        "duration_p95_s",
        "device_energy_j",
        "reason",
    )
    print_table(f"{fading} at {snr_db:g} dB, {hardware}, priced as {priced_as}", columns, rows)
    typer.echo(f"use {name}" if name else "no protocol fits")
    for reason in because:
        typer.echo(f"- {reason}")
    return None
