"""The command line: a thin door on the same functions, no logic."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gainnet.core.errors import ConfigError, GainnetError

if TYPE_CHECKING:
    from gainnet.generation import GenerationConfig
    from gainnet.studies import Progress

app = typer.Typer(
    help="Run generative AI across cloud, edge and device over a 6G radio, and see what it costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
study_app = typer.Typer(help="Questions with methods, tables and figures, reproducible by name.", no_args_is_help=True)
train_app = typer.Typer(help="Train what the package ships, into a folder of yours.", no_args_is_help=True)
app.add_typer(study_app, name="study")
app.add_typer(train_app, name="train")

Prompt = Annotated[str | None, typer.Argument(help="What to draw.", show_default=False)]
PromptsFile = Annotated[Path | None, typer.Option("--prompts", help="A file with one prompt per line, run as a batch.")]
Protocol = Annotated[str, typer.Option(help="See `gainnet protocols`; or module:function.")]
SnrDb = Annotated[float, typer.Option(help="Mean received Es/N0 in dB.")]
Fading = Annotated[str, typer.Option(help="awgn, rayleigh, ideal (no errors, no noise), or module:Class.")]
CodecOf = Annotated[
    list[str] | None,
    typer.Option(
        "--codec", help="seed=raw|linear|digital|float32, image=webp|avif|jpeg|png|raw_pixels, or KIND=module:Class."
    ),
]
NumChannelUses = Annotated[int | None, typer.Option(help="Complex channel uses per picture of the content transfer.")]
RandomSeed = Annotated[int, typer.Option(help="Random seed of the first picture.")]
Model = Annotated[str, typer.Option(help="scenes, a folder in diffusers' format, or a hub id in the local cache.")]
HardwareName = Annotated[str, typer.Option("--hardware", help="Device profile or .toml file; see `gainnet calibrate`.")]
EdgeHardware = Annotated[str, typer.Option(help="Edge profile or .toml file.")]
PricedAs = Annotated[str, typer.Option(help="Model whose FLOPs are priced: sd15, sdxl or shipped.")]
BandwidthHz = Annotated[float, typer.Option(help="Bandwidth of the link in Hz.")]
NumSteps = Annotated[int | None, typer.Option(help="Sampler steps; the model's own default when left out.")]
GuidanceScale = Annotated[float | None, typer.Option(help="Classifier-free guidance; the model's own default.")]
TorchDevice = Annotated[str, typer.Option(help="Where torch runs, e.g. cpu or cuda.")]
Online = Annotated[bool, typer.Option("--online", help="A hub id may be downloaded.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")]


INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended."""


class Preset(StrEnum):
    """How thoroughly a model is trained."""

    default = "default"
    tiny = "tiny"


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
    out: Annotated[Path, typer.Option(help="Folder for pictures, step table and report.")] = Path("out/generate"),
    as_json: AsJson = False,
) -> None:
    """Make a picture with edge and device together, over the air, for real."""
    config = _config(locals())
    from gainnet.core.files import check_writable

    check_writable(out)
    with _status("loading") as tell:
        from gainnet.generation import generate as run
        from gainnet.generation import save

        result = run(config, watch=tell)
        tell("writing")
        summary = save(result, out)
    _print_json(summary) if as_json else _print_generation(summary, out)


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
    as_json: AsJson = False,
) -> None:
    """Price a generation without running it: the same report, in expectation."""
    config = _config(locals())
    with _status("loading"):
        from gainnet.generation import estimate as price

        report = price(config).to_json()
    summary = {"protocol": config.protocol, "fading": config.fading, "snr_db": config.snr_db, "report": report}
    _print_json(summary) if as_json else _print_report(report)


@app.command()
def protocols(as_json: AsJson = False) -> None:
    """List who computes what and what is on the air."""
    with _status("loading"):
        from gainnet.generation.describe import describe_protocols

        described = describe_protocols()
    if as_json:
        return _print_json({"protocols": described})
    return _print_table("Protocols", ("protocol", "edge runs", "device runs", "on the air", "what it is"), described)


@app.command()
def calibrate(as_json: AsJson = False) -> None:
    """Measure this machine and print it as a hardware profile."""
    with _status("measuring"):
        from gainnet.generation.calibrate import calibrate as measure

        measured = measure()
    if as_json:
        return _print_json(measured)
    for name, value in measured.items():
        typer.echo(f"{name} = {value:.4g}")
    return None


@app.command()
def check(as_json: AsJson = False) -> None:
    """Check the installation: versions, weights, one generation over an ideal link."""
    with _status("checking") as tell:
        from gainnet.generation.selfcheck import check_installation

        found = check_installation(tell)
    _print_json({"checks": found}) if as_json else _print_table("Installation", ("check", "passed", "found"), found)
    if not all(row["passed"] for row in found):
        raise typer.Exit(1)


@study_app.command("list")
def study_list(as_json: AsJson = False) -> None:
    """The studies and the questions they answer."""
    from gainnet.studies import list_studies

    rows = [{"study": study.name, "question": study.question} for study in list_studies()]
    _print_json({"studies": rows}) if as_json else _print_table("Studies", ("study", "question"), rows)


@study_app.command("show")
def study_show(name: str) -> None:
    """Methods, settings and metrics of a study, as JSON."""
    from dataclasses import asdict

    from gainnet.studies import show_study

    _print_json(asdict(show_study(name)))


@study_app.command("run")
def study_run(
    name: str,
    quick: Annotated[bool, typer.Option("--quick", help="Smoke run: the same keys, null where not computed.")] = False,
    full: Annotated[bool, typer.Option("--full", help="The published tables.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings of your own, a .toml file.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for <study>/<config hash>.")] = Path("out/studies"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of going on where it stopped.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a study, or go on where it was stopped."""
    if quick + full + (config is not None) > 1:
        raise ConfigError("preset: give one of --quick, --full and --config")
    preset = config or ("quick" if quick else "full" if full else "default")
    from gainnet.studies import run_study

    with _progress(name) as tell:
        result = run_study(name, preset, out, tell, resume=not fresh)
    if as_json:
        return _print_json(result.to_json())
    rows = [{"metric": key, "value": value} for key, value in result.metrics.items()]
    _print_table(f"{name}: {result.table_path}", ("metric", "value"), rows)
    return None


@study_app.command("figures")
def study_figures(run: Path) -> None:
    """Draw the figures of a finished run again, from its table alone."""
    from gainnet.studies import draw_figures

    for path in draw_figures(run):
        typer.echo(path)


@study_app.command("compare")
def study_compare(a: Path, b: Path, as_json: AsJson = False) -> None:
    """Show the metrics of two runs side by side."""
    from gainnet.studies import compare

    compared = compare(a, b)
    _print_json(compared.to_json()) if as_json else _print_table(
        f"{a} · {b}", ("metric", "a", "b", "b - a"), compared.rows()
    )


@train_app.command("scenes")
def train_scenes(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and weights.")],
    preset: Annotated[
        Preset, typer.Option(help="default makes the shipped weights, tiny tries the code.")
    ] = Preset.default,
    random_seed: Annotated[int, typer.Option(help="Of data, weights and noise.")] = 2026,
    hold_out: Annotated[
        list[str] | None,
        typer.Option(help="A pair that the denoiser never sees, e.g. 'red star'; give it again for more."),
    ] = None,
    torch_device: Annotated[str | None, typer.Option(help="Where to train; a GPU where there is one.")] = None,
) -> None:
    """Train the scenes model: data, autoencoder, text encoder, denoiser, classifier. Goes on where it was stopped."""
    pairs = [_words(pair) for pair in hold_out or []]
    from gainnet.models.loading import torch_device_of
    from gainnet.training.scenes import PRESETS
    from gainnet.training.scenes import train_scenes as train

    device = None if torch_device is None else torch_device_of(torch_device)
    with _training_progress() as tell:
        typer.echo(train(out, random_seed, PRESETS[preset.value], pairs, tell, device))


@train_app.command("seed-basis")
def train_seed_basis(
    out: Annotated[Path, typer.Option(help="Folder for the weights.")],
    model: Model = "scenes",
    num_latents: Annotated[int, typer.Option(help="Latents that the denoiser makes.")] = 2000,
    random_seed: RandomSeed = 0,
) -> None:
    """Learn the principal components of a model's latents, for the linear and the digital seed codec."""
    from gainnet.training.seed_basis import train_seed_basis as train

    with _progress("seed-basis") as tell:
        num_renders = 12000 if model == "scenes" else 0
        train(model, out, num_latents, num_renders, random_seed, progress=lambda n, total: tell(n, total, "latents"))
    typer.echo(out)


def main() -> None:
    """Entry point: every error a user can mend is one line and exit code 2."""
    import click

    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # A small model on a busy machine is many times slower with more threads; set the variable for a large one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        code = typer.main.get_command(app)(standalone_mode=False)
    except GainnetError as error:
        code = _fail(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        typer.echo(error.ctx.get_help() if error.ctx else error.format_message())
        code = 2
    except click.ClickException as error:
        code = _fail(error.format_message())
    except (KeyboardInterrupt, click.exceptions.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        typer.echo("interrupted; nothing was left half written", err=True)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> int:
    typer.echo("error: " + " ".join(message.split()), err=True)
    return 2


def _config(options: Mapping[str, Any]) -> GenerationConfig:
    prompts = _read_prompts(options["prompt"], options["prompts"])
    pairs = [_pair(text) for text in options["codec"] or []]
    codec = dict(pairs)
    if len(codec) < len(pairs):
        raise ConfigError("codec: a kind is given twice; give each once")
    from gainnet.generation import GenerationConfig

    asked = {key: options[key] for key in GenerationConfig.__dataclass_fields__ if key not in ("prompts", "codec")}
    return GenerationConfig(prompts=prompts, codec=codec, **asked)


def _pair(text: str) -> tuple[str, str]:
    kind, equals, name = text.partition("=")
    if not (kind and equals and name):
        raise ConfigError(f"codec: {text!r} is not KIND=NAME; write for example --codec seed=linear")
    return kind, name


def _words(pair: str) -> tuple[str, str]:
    colour, _, shape = pair.partition(" ")
    if not (colour and shape):
        raise ConfigError(f"hold_out: {pair!r} is not a colour and a shape; write for example --hold-out 'red star'")
    return colour, shape


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


@contextmanager
def _status(first: str) -> Iterator[Callable[[str], None]]:
    """A spinner on standard error that names the step."""
    from rich.console import Console

    with Console(stderr=True).status(first) as status:
        yield status.update


@contextmanager
def _progress(name: str) -> Iterator[Progress]:
    """A bar on standard error."""
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"), bars.BarColumn(), bars.MofNCompleteColumn(), bars.TimeRemainingColumn()
    )  # fmt: skip
    console = Console(stderr=True)
    with bars.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)

        def tell(num_finished: int, num_cases: int, label: str) -> None:
            bar.update(task, completed=num_finished, total=num_cases, description=label)

        yield tell


@contextmanager
def _training_progress() -> Iterator[Callable[[str, int, int, float], None]]:
    with _progress("training") as tell:
        yield lambda stage, step, total, loss: tell(step, total, f"{stage} (loss {loss:.4f})")


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, allow_nan=False))


def _print_table(title: str, columns: tuple[str, ...], rows: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    Console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


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
    _print_table(f"priced as {report['priced_as']}", columns, rows)
    typer.echo(
        f"{report['duration_s'] * 1e3:.2f} ms on the critical path, {report['energy_j']:.3f} J, "
        f"{report['num_channel_uses_up']:g} uses up, {report['num_channel_uses_down']:g} down"
    )


def _print_generation(summary: Mapping[str, Any], out: Path) -> None:
    _print_report(summary["report"])
    judged, baseline = summary["quality"], summary["baseline"]
    typer.echo("exact" if judged["exact"] else f"PSNR {judged['psnr_db']:.2f} dB, SSIM {judged['ssim']:.3f}")
    if baseline["name"] is not None:
        uses = baseline["num_channel_uses_equal_psnr"]
        equal = "none reaches that PSNR" if uses is None else f"that PSNR takes them {uses:,.0f} channel uses at least"
        best = f"{_cell(baseline['psnr_db_equal_uses'])} dB ({baseline['name']}) at equal uses"
        typer.echo(f"best image codec over the same air: {best}; {equal}")
    typer.echo(f"see {out / 'report.html'}")


if __name__ == "__main__":
    main()
