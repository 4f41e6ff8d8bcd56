"""Pictures: `generate`, `estimate`, `protocols`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gainnet.cli.options import AsJson, Model, RandomSeed
from gainnet.cli.printing import cell, print_json, print_table, status
from gainnet.core.errors import ConfigError

if TYPE_CHECKING:
    from gainnet.generation import GenerationConfig

app = typer.Typer()


Prompt = Annotated[str | None, typer.Argument(help="What to draw.", show_default=False)]
PromptsFile = Annotated[Path | None, typer.Option("--prompts", help="A file with one prompt per line, run as a batch.")]
Protocol = Annotated[str, typer.Option(help="See `gainnet protocols`; or module:function.")]
SnrDb = Annotated[float, typer.Option(help="Mean received Es/N0 in dB.")]
Fading = Annotated[
    str,
    typer.Option(
        help="awgn, rayleigh, rician, jakes, tdl-a to -e, cdl-a to -e, ideal (no errors, no noise), or module:Class."
    ),
]
Trace = Annotated[str | None, typer.Option(help="A .csv file with a column snr_db; a row is one fading block.")]
ReportErrorDb = Annotated[float, typer.Option(help="Standard deviation of the error of SNR reports in dB.")]
ReportDelay = Annotated[int, typer.Option(help="Fading blocks between the measurement of an SNR and its use.")]
Harq = Annotated[str, typer.Option(help="none (send failed codewords anew) or ir (incremental redundancy).")]
NumDevices = Annotated[int, typer.Option(help="Devices of the cell that ask at once; prompts are dealt to them.")]
PowerName = Annotated[
    str | None,
    typer.Option(
        "--power",
        help="Who decides the power of a fading block of symbols: ppo, sac, pathwise, replanned, mean_gain, "
        "fixed_multiplier, truncated_inversion, greedy, a folder of train power-control, or module:Class; constant when "
        "left out, which is better where a seed meets one or two fades.",
    ),
]
SchedulerName = Annotated[str, typer.Option("--scheduler", help="round_robin or proportional_fair.")]
CodecOf = Annotated[
    list[str] | None,
    typer.Option(
        "--codec",
        help="seed=raw|linear|seed|seed_prompt|digital|transform|transform_prompt|float32, "
        "midway=matched|raw|uniform, image=webp|avif|jpeg|png|raw_pixels, "
        "sketch=quantized|edges|analog, or KIND=module:Class.",
    ),
]
NumChannelUses = Annotated[int | None, typer.Option(help="Complex channel uses per picture of the content transfer.")]
HardwareName = Annotated[str, typer.Option("--hardware", help="Device profile or .toml file; see `gainnet calibrate`.")]
EdgeHardware = Annotated[str, typer.Option(help="Edge profile or .toml file.")]
PricedAs = Annotated[str, typer.Option(help="Model whose FLOPs are priced: sd15, sdxl or shipped.")]
BandwidthHz = Annotated[float, typer.Option(help="Bandwidth of the link in Hz.")]
NumSteps = Annotated[int | None, typer.Option(help="Sampler steps; the model's own default when left out.")]
GuidanceScale = Annotated[float | None, typer.Option(help="Classifier-free guidance; the model's own default.")]
TorchDevice = Annotated[str, typer.Option(help="Where torch runs, e.g. cpu or cuda.")]
PictureFile = Annotated[str | None, typer.Option("--image", help="A picture of the device's to change, of any size.")]
Strength = Annotated[
    float | None, typer.Option(help="How much of the picture is changed, above 0 to 1.", show_default="0.6")
]
NumEdges = Annotated[int, typer.Option(help="Edges that share the air; for protocols with several.")]
NetworkFile = Annotated[str | None, typer.Option("--network", help="A .toml file of nodes, media and links.")]
Cut = Annotated[int | None, typer.Option(help="Sampler steps before the hand-over; the protocol's own choice.")]
Cooperation = Annotated[str | None, typer.Option(help="How edges share a generation: pipeline, guidance or regions.")]
NumCandidates = Annotated[
    int | None, typer.Option("--candidates", help="Pictures that the edge of esuc draws to choose from.")
]
DeadlineS = Annotated[float | None, typer.Option(help="Seconds after which a transfer is given up and concealed.")]
Online = Annotated[bool, typer.Option("--online", help="A hub id may be downloaded.")]


@app.command()
def generate(
    prompt: Prompt = None,
    prompts: PromptsFile = None,
    protocol: Protocol = "eiug",
    snr_db: SnrDb = 10.0,
    fading: Fading = "awgn",
    codec: CodecOf = None,
    num_channel_uses: NumChannelUses = None,
    random_seed: RandomSeed = 0,
    model: Model = "scenes",
    hardware: HardwareName = "phone",
    edge_hardware: EdgeHardware = "edge_a100",
    priced_as: PricedAs = "sd15",
    bandwidth_hz: BandwidthHz = 1e6,
    num_steps: NumSteps = None,
    guidance_scale: GuidanceScale = None,
    torch_device: TorchDevice = "cpu",
    online: Online = False,
    image: PictureFile = None,
    strength: Strength = None,
    num_edges: NumEdges = 1,
    network: NetworkFile = None,
    cut: Cut = None,
    cooperation: Cooperation = None,
    num_candidates: NumCandidates = None,
    deadline_s: DeadlineS = None,
    trace: Trace = None,
    report_error_db: ReportErrorDb = 0.0,
    report_delay: ReportDelay = 0,
    harq: Harq = "none",
    num_devices: NumDevices = 1,
    scheduler: SchedulerName = "round_robin",
    power: PowerName = None,
    fail: Annotated[
        list[str] | None,
        typer.Option(help="NODE@STEP: an edge that dies before a step, e.g. edge_2@3; again for more."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for pictures, step table and report.")] = Path("out/generate"),
    as_json: AsJson = False,
) -> None:
    """Make a picture with edge and device together, over the air, for real."""
    config = _config(locals())
    from gainnet.core.files import check_writable

    check_writable(out)
    with status("loading") as tell:
        from gainnet.generation import generate as run
        from gainnet.generation import save

        result = run(config, watch=tell)
        tell("writing")
        summary = save(result, out)
    print_json(summary) if as_json else _print_generation(summary, out)


@app.command()
def estimate(
    prompt: Prompt = None,
    prompts: PromptsFile = None,
    protocol: Protocol = "eiug",
    snr_db: SnrDb = 10.0,
    fading: Fading = "awgn",
    codec: CodecOf = None,
    num_channel_uses: NumChannelUses = None,
    random_seed: RandomSeed = 0,
    model: Model = "scenes",
    hardware: HardwareName = "phone",
    edge_hardware: EdgeHardware = "edge_a100",
    priced_as: PricedAs = "sd15",
    bandwidth_hz: BandwidthHz = 1e6,
    num_steps: NumSteps = None,
    guidance_scale: GuidanceScale = None,
    torch_device: TorchDevice = "cpu",
    online: Online = False,
    image: PictureFile = None,
    strength: Strength = None,
    num_edges: NumEdges = 1,
    network: NetworkFile = None,
    cut: Cut = None,
    cooperation: Cooperation = None,
    num_candidates: NumCandidates = None,
    deadline_s: DeadlineS = None,
    trace: Trace = None,
    report_error_db: ReportErrorDb = 0.0,
    report_delay: ReportDelay = 0,
    harq: Harq = "none",
    num_devices: NumDevices = 1,
    scheduler: SchedulerName = "round_robin",
    power: PowerName = None,
    as_json: AsJson = False,
) -> None:
    """Price a generation without running it: the same report, in expectation."""
    config = _config(locals())
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
    num_steps: Annotated[int, typer.Option(help="Sampler steps of the drawn plan.")] = 4,
    out: Annotated[Path | None, typer.Option(help="A PNG file for the drawn plan; the terminal when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """List who computes what and what is on the air, or draw one plan."""
    if show_plan is not None:
        return _show_plan(show_plan, num_edges, cooperation, num_steps, out)
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


def _config(options: Mapping[str, Any]) -> GenerationConfig:
    prompts = _read_prompts(options["prompt"], options["prompts"])
    pairs = [_pair(text) for text in options["codec"] or []]
    codec = dict(pairs)
    if len(codec) < len(pairs):
        raise ConfigError("codec: a kind is given twice; give each once")
    if options["strength"] is not None and options["image"] is None:
        raise ConfigError("strength: there is no picture to change; give --image FILE or leave it out")
    from gainnet.generation import GenerationConfig

    listed = ("prompts", "codec", "failures")
    asked = {key: options[key] for key in GenerationConfig.__dataclass_fields__ if key not in listed and key in options}
    failures = tuple(_death(text) for text in options.get("fail") or ())
    return GenerationConfig(prompts=prompts, codec=codec, failures=failures, **asked)


def _death(text: str) -> tuple[str, int]:
    node, at, step = text.rpartition("@")
    if not (node and at and step.isdecimal()):
        raise ConfigError(f"fail: {text!r} is not NODE@STEP; write for example --fail edge_2@3")
    return node, int(step)


def _pair(text: str) -> tuple[str, str]:
    kind, equals, name = text.partition("=")
    if not (kind and equals and name):
        raise ConfigError(f"codec: {text!r} is not KIND=NAME; write for example --codec seed=linear")
    return kind, name


def _read_prompts(prompt: str | None, path: Path | None) -> tuple[str, ...]:
    if (prompt is None) == (path is None):
        raise ConfigError("prompt: give a text or --prompts FILE, one of the two")
    if path is None:
        return (prompt or "",)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"prompts: {path} cannot be read ({error.strerror}); give a text file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"prompts: {path} is not UTF-8 text") from error
    return tuple(line.strip() for line in lines if line.strip())


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
