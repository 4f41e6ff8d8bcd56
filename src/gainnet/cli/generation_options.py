"""What can be asked of one generation on the command line: said once, for every command that takes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from gainnet.cli.options import Model, RandomSeed
from gainnet.core.errors import ConfigError

if TYPE_CHECKING:
    from gainnet.generation import GenerationConfig

Prompt = Annotated[str | None, typer.Argument(help="What to draw.", show_default=False)]
PromptsFile = Annotated[Path | None, typer.Option("--prompts", help="A file with one prompt per line, run as a batch.")]
Protocol = Annotated[str, typer.Option(help="See `gainnet protocols`; or module:Class.")]
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
        "fixed_multiplier, truncated_inversion, greedy, a folder of train power-control, or module:Class; constant "
        "when left out, which is better where a seed meets one or two fades.",
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

P = ParamSpec("P")


def config_of(
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
) -> GenerationConfig:
    """The configuration of a generation; every command that takes one has these options."""
    asked = dict(locals())
    if strength is not None and image is None:
        raise ConfigError("strength: there is no picture to change; give --image FILE or leave it out")
    from gainnet.generation import GenerationConfig

    read = {"prompts": _read_prompts(asked.pop("prompt"), prompts), "codec": _codecs(codec or [])}
    return GenerationConfig(**asked | read)


def takes_generation(command: Callable[Concatenate[GenerationConfig, P], None]) -> Callable[..., None]:
    """The command with the options of `config_of`, then its own, in the place of its first argument.

    typer reads options off a signature, so this is made of both.
    """
    shared = _parameters(config_of)
    own = _parameters(command)[1:]

    def asked(**options: Any) -> None:
        config = config_of(**{parameter.name: options.pop(parameter.name) for parameter in shared})
        command(config, **options)  # type: ignore[call-arg]

    asked.__name__, asked.__doc__ = command.__name__, command.__doc__
    asked.__annotations__ = {parameter.name: parameter.annotation for parameter in (*shared, *own)}
    asked.__signature__ = inspect.Signature((*shared, *own))  # type: ignore[attr-defined]
    return asked


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    # The configuration's own type takes seconds to import, and typer has no use for it.
    signature = inspect.signature(function, eval_str=True, locals={"GenerationConfig": object})
    return list(signature.parameters.values())


def _codecs(texts: list[str]) -> dict[str, str]:
    pairs = [_pair(text) for text in texts]
    codec = dict(pairs)
    if len(codec) < len(pairs):
        raise ConfigError("codec: a kind is given twice; give each once")
    return codec


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
        raise ConfigError(f"prompts: {path} is not UTF-8 text; give one prompt per line in UTF-8") from error
    return tuple(line.strip() for line in lines if line.strip())
