"""Pictures: `generate`, `estimate`, `protocols`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gainnet.cli.generation_options import Cooperation, takes_generation
from gainnet.cli.options import AsJson
from gainnet.cli.printing import cell, print_json, print_table, status
from gainnet.core.errors import ConfigError

if TYPE_CHECKING:
    from gainnet.generation import GenerationConfig

app = typer.Typer()


@app.command()
@takes_generation
def generate(
    config: GenerationConfig,
    fail: Annotated[
        list[str] | None,
        typer.Option(help="NODE@STEP: an edge that dies before a step, e.g. edge_2@3; again for more."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for pictures, step table and report.")] = Path("out/generate"),
    as_json: AsJson = False,
) -> None:
    """Make a picture with edge and device together, over the air, for real."""
    from gainnet.core.files import check_writable

    config = replace(config, failures=tuple(_death(text) for text in fail or ()))
    check_writable(out)
    with status("loading") as tell:
        from gainnet.generation import generate as run
        from gainnet.generation import save

        result = run(config, watch=tell)
        tell("writing")
        summary = save(result, out)
    print_json(summary) if as_json else _print_generation(summary, out)


@app.command()
@takes_generation
def estimate(config: GenerationConfig, as_json: AsJson = False) -> None:
    """Price a generation without running it: the same report, in expectation."""
    with status("loading"):
        from gainnet.generation import estimate as price

        report = price(config).to_json()
    summary = {"protocol": config.protocol, "fading": config.fading, "snr_db": config.snr_db, "report": report}
    print_json(summary) if as_json else _print_report(report)


@app.command()
def protocols(
    show_plan: Annotated[str | None, typer.Option(help="Draw the plan of this protocol.")] = None,
    num_edges: Annotated[int | None, typer.Option(help="Edges of the drawn plan.")] = None,
    cooperation: Cooperation = None,
    num_steps: Annotated[int | None, typer.Option(help="Sampler steps of the drawn plan.", show_default="4")] = None,
    out: Annotated[Path | None, typer.Option(help="A PNG file for the drawn plan; the terminal when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """List who computes what and what is on the air, or draw one plan."""
    if show_plan is not None:
        return _show_plan(show_plan, num_edges, cooperation, 4 if num_steps is None else num_steps, out)
    drawn = {"num_edges": num_edges, "cooperation": cooperation, "num_steps": num_steps, "out": out}
    if given := [option for option, value in drawn.items() if value is not None]:
        raise ConfigError(f"{given[0]}: it is for one drawn plan; name its protocol with --show-plan or leave it out")
    with status("loading"):
        from gainnet.generation.describe import describe_protocols

        described = describe_protocols()
    if as_json:
        return print_json({"protocols": described})
    columns = ("protocol", "edges", "edge runs", "device runs", "on the air", "what it is")
    return print_table("Protocols", columns, described)


def _show_plan(name: str, num_edges: int | None, cooperation: str | None, num_steps: int, out: Path | None) -> None:
    with status("loading"):
        from gainnet.core.files import write_whole
        from gainnet.generation import GenerationConfig
        from gainnet.generation.describe import PROMPT, TWO, plan_of, takes_edges
        from gainnet.models.loading import load_model
        from gainnet.protocols import PROTOCOLS
        from gainnet.protocols.drawing import draw_figure, draw_text

        several = name in PROTOCOLS and takes_edges(PROTOCOLS[name])
        edges = (TWO if several else 1) if num_edges is None else num_edges
        config = GenerationConfig((PROMPT,), name, num_edges=edges, cooperation=cooperation)
        plan = plan_of(config, load_model(num_steps=num_steps))
        if out is not None:
            write_whole(out, draw_figure(plan))
    typer.echo(draw_text(plan) if out is None else out)


def _death(text: str) -> tuple[str, int]:
    node, at, step = text.rpartition("@")
    if not (node and at and step.isdecimal()):
        raise ConfigError(f"fail: {text!r} is not NODE@STEP; write for example --fail edge_2@3")
    return node, int(step)


def _print_report(report: Mapping[str, Any]) -> None:
    rows = [
        {
            "step": step["label"],
            "start": f"{step['start_s'] * 1e3:.2f} ms",
            "takes": f"{step['duration_s'] * 1e3:.2f} ms",
            "energy": f"{step['energy_j']:.3g} J",
            "bits": step["num_bits"],
            "uses": step["num_channel_uses"],
            "resent": step["num_retransmissions"],
        }
        for step in report["steps"]
    ]
    columns = ("step", "start", "takes", "energy", "bits", "uses", "resent")
    print_table(f"priced as {report['priced_as']}", columns, rows)
    typer.echo(
        f"{report['duration_s'] * 1e3:.2f} ms on the critical path, {report['energy_j']:.3f} J, "
        f"{report['num_channel_uses_up']:g} uses up, {report['num_channel_uses_down']:g} down"
    )


def _print_generation(summary: Mapping[str, Any], out: Path) -> None:
    from gainnet.generation.page import troubles

    _print_report(summary["report"])
    for line in troubles(summary["report"]):
        typer.echo(line)
    judged, baseline = summary["quality"], summary["baseline"]
    typer.echo("exact" if judged["exact"] else f"PSNR {judged['psnr_db']:.2f} dB, SSIM {judged['ssim']:.3f}")
    if baseline["name"] is not None:
        uses = baseline["num_channel_uses_equal_psnr"]
        equal = "none reaches that PSNR" if uses is None else f"that PSNR takes them {uses:,.0f} channel uses at least"
        best = f"{cell(baseline['psnr_db_equal_uses'])} dB ({baseline['name']}) at equal uses"
        typer.echo(f"best image codec over the same air: {best}; {equal}")
    typer.echo(f"see {out / 'report.html'}")
