"""Pictures: `generate`, `estimate`, `protocols`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

import typer

from gainnet.catalog.records import GenerationConfig
from gainnet.cli.options import Asked, Fields, Usual, command
from gainnet.cli.printing import print_json, print_table, say, status
from gainnet.core.errors import ConfigError
from gainnet.core.lines import lines_of

if TYPE_CHECKING:
    from gainnet.catalog.opening import Request

RECORD = "gainnet.catalog.records:GenerationConfig"
Goal = Literal["latency", "energy", "uses"]
"""The objective that a decision minimises."""
_LINE = 80
MOST_LISTED = 16
"""Pictures of a batch that are listed one by one."""
LONG_S, UNEXPECTED_S = 60.0, 600.0
"""Expected seconds of work above which they are said, and above which they must be agreed to."""
GENERATION = Fields(
    RECORD,
    without=("prompts", "failures"),
    defaults={"strength": Usual("0.6"), "model": Usual("scenes or emoji, by the words of the prompts")},
    panels={
        "Air": (
            "snr_db", "fading", "trace", "delivery", "power", "report_error_db", "report_delay", "harq", "bandwidth_hz",
            "deadline_s", "edge_power",
        ),
        "Edges and devices": (
            "num_edges", "network", "cooperation", "cut", "num_candidates", "num_devices", "scheduler", "hardware",
            "edge_hardware", "priced_as",
        ),
        "Model": (
            "model", "num_steps", "guidance_scale", "height", "width", "runtime", "torch_device", "online", "image",
            "strength",
        ),
    },
)  # fmt: skip


@command("generate", GENERATION)
def generate(
    asked: Asked,
    prompt: str | None = None,
    *,
    prompts: Path | None = None,
    fail: tuple[str, ...] = (),
    signer: Path | None = None,
    decide: Goal | None = None,
    max_latency_s: float | None = None,
    max_energy_j: float | None = None,
    min_psnr_db: float | None = None,
    decoder: str | None = None,
    out: Path = Path("out/generate"),
    show: bool = False,
    yes: bool = False,
    as_json: bool = False,
) -> None:
    """Make a picture with edge and device together, over the air, for real.

    Args:
        prompt: what to draw, in words that the model knows: models show NAME lists them.
        prompts: a file with one prompt per line, run as a batch.
        fail: NODE@STEP: an edge that dies before a step, e.g. edge_2@3; again for more.
        signer: folder that trust keys has written, whose key signs the pictures; they are not signed when left out.
        decide: let measured tables choose protocol, codec, steps and power, for least latency, energy or uses.
        max_latency_s: bound of a decision, kept by 95 % of transmissions.
        max_energy_j: bound of a decision on the energy of the device.
        min_psnr_db: bound of a decision, kept by 90 % of pictures.
        decoder: name of a decoder that train through-channel --name has installed for the model; its own when left out.
        out: folder for pictures, step table and report.
        show: print the first picture in the terminal, too.
        yes: run work that is expected to take more than ten minutes here.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet generate "a red star above a blue house" --snr-db 0 --num-channel-uses 512 --show
    """
    from gainnet.cli.terminal import show_picture
    from gainnet.core.files import check_writable

    config = _config(asked, prompt, prompts, fail)
    bounds = {"max_latency_s": max_latency_s, "max_energy_j": max_energy_j, "min_psnr_db": min_psnr_db}
    check_writable(out)
    with status("loading") as watch:
        from gainnet.catalog.labels import labels_of_config
        from gainnet.generation import save

        sign = None if signer is None else _signing(signer)
        config, decision = _decided(config, asked, decide, bounds)
        request, tuned = _opened(config, decoder)
        less = "fewer prompts" if len(request.prompts) > 1 else "a smaller --height and --width"
        announce(request.expected_wall_s(), yes, less)
        with request.watched(watch):
            result = request.generate(watch)
        watch("writing")
        summary = save(result, out, labels_of_config(result, config)) | decision | tuned
        summary = summary if sign is None else sign(summary, out, request.model.sha256, config.image is not None)
    if show and not as_json:
        show_picture(Path(summary["image_path"]).read_bytes())
    print_json(summary) if as_json else _print_generation(summary, out)


@command("estimate", GENERATION)
def estimate(asked: Asked, prompt: str | None = None, *, prompts: Path | None = None, as_json: bool = False) -> None:
    """Price a generation without running it: the same report, in expectation.

    Args:
        prompt: what to draw.
        prompts: a file with one prompt per line, run as a batch.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet estimate "a red star" --protocol centralized --snr-db 5
    """
    config = _config(asked, prompt, prompts)
    with status("loading"):
        from gainnet.catalog.labels import priced_json
        from gainnet.catalog.opening import open_request
        from gainnet.generation.sentences import cost_line, priced_line, unknown_lines

        request = open_request(config)
        summary = priced_json(request, config)
    if as_json:
        return print_json(summary)
    number, name = len(request.prompts), summary["model"]
    lines = (priced_line(summary, number), cost_line(summary["report"], number))
    for line in (f"model: {name}", *unknown_lines(name, summary["warnings"]), *lines):
        say(line)
    return print_report(summary["report"], number)


@command("protocols")
def protocols(
    *,
    show_plan: str | None = None,
    num_edges: int | None = None,
    cooperation: str | None = None,
    num_steps: int | None = None,
    out: Path | None = None,
    as_json: bool = False,
) -> None:
    """List who computes what and what is on the air, or draw one plan.

    Args:
        show_plan: draw the plan of this protocol.
        num_edges: edges of the drawn plan.
        cooperation: how edges share a generation: pipeline, guidance or regions.
        num_steps: sampler steps of the drawn plan; 4 when left out.
        out: a PNG file for the drawn plan; the terminal when left out.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet protocols --show-plan eiug
    """
    if show_plan is not None:
        return _show_plan(show_plan, num_edges, cooperation, 4 if num_steps is None else num_steps, out)
    drawn = {"num_edges": num_edges, "cooperation": cooperation, "num_steps": num_steps, "out": out}
    if given := [option for option, value in drawn.items() if value is not None]:
        raise ConfigError(f"{given[0]}: it is for one drawn plan; name its protocol with --show-plan or leave it out")
    from gainnet.generation.description import describe_protocols

    described = describe_protocols()
    if as_json:
        return print_json({"protocols": described})
    for row in described:
        _print_protocol(row)
    return None


def _print_protocol(row: Mapping[str, str]) -> None:
    """A protocol in a few lines: six columns of words do not fit beside each other into 80 characters."""
    typer.echo(_wrapped(f"{row['protocol']} ({_edges(row['edges'])}): {row['what it is']}"))
    for key in ("edge runs", "device runs", "on the air"):
        if row[key] != "–":
            typer.echo(_wrapped(f"  {key}: {row[key].replace('_', ' ') if key.endswith('runs') else row[key]}"))


def _edges(number: str) -> str:
    return {"1": "1 edge", "–": "no edge"}.get(number, "1 or more edges")


def _wrapped(text: str) -> str:
    return fill(text, _LINE, subsequent_indent="    ", break_long_words=False)


def _decided(
    config: GenerationConfig, asked: Asked, goal: Goal | None, bounds: Mapping[str, float | None]
) -> tuple[GenerationConfig, dict[str, Any]]:
    """The configuration that measured tables choose, and why; as it is without a goal."""
    if goal is None:
        if given := [name for name, value in bounds.items() if value is not None]:
            raise ConfigError(f"{given[0]}: it bounds a decision; give --decide latency, energy or uses")
        return config, {}
    from gainnet.catalog.deciding import DECIDED, decided, described, wanted_of

    # A protocol that equals the default may have been typed, and then it must not be without effect.
    if given := sorted(asked.given & set(DECIDED)):
        raise ConfigError(f"{given[0]}: it is decided; leave it out, or leave decide out")
    chosen, found = decided(config, wanted_of({"decide": goal, **bounds}))
    return chosen, {"decision": described(found)}


def _opened(config: GenerationConfig, name: str | None) -> tuple[Request, dict[str, Any]]:
    """The request, with the fine-tuned decoder of a name where there is one, and what a report says of it."""
    from gainnet.catalog.opening import open_request

    if name is None:
        return open_request(config), {}
    from gainnet.models.decoders import check_installed, decoder_config, decoder_place, with_decoder

    check_installed(name)
    request = open_request(config)
    tuned = with_decoder(request.model, name).decoder
    place = decoder_place(request.model.latents_sha256, name)
    return replace(request, decoder=tuned), {"decoder": {"name": name, "sha256": decoder_config(place)["sha256"]}}


def announce(seconds: float, is_agreed: bool, less: str) -> None:
    """Says how long work takes that is long, and refuses what is longer than anybody would expect.

    Args:
        seconds: that it takes.
        is_agreed: whether the user has agreed to any time.
        less: what to give for less work.
    """
    from gainnet.generation.duration import spelled_s

    if seconds > UNEXPECTED_S and not is_agreed:
        raise ConfigError(
            f"yes: this takes about {spelled_s(seconds)} on this machine; give --yes to run it, or {less}"
        )
    if seconds > LONG_S:
        typer.echo(f"this takes about {spelled_s(seconds)} on this machine", err=True)


def _signing(folder: Path) -> Callable[[dict[str, Any], Path, str, bool], dict[str, Any]]:
    """The signer of the pictures of a saved generation; keys are read before anything is computed."""
    from gainnet.service.provenance import Signer, sign_saved

    return partial(sign_saved, Signer(folder))


def _config(asked: Asked, prompt: str | None, prompts: Path | None, fail: tuple[str, ...] = ()) -> GenerationConfig:
    failures = tuple(_death(text) for text in fail)
    return GenerationConfig(read_prompts(prompt, prompts), **asked.values, failures=failures)


def read_prompts(prompt: str | None, path: Path | None) -> tuple[str, ...]:
    """The prompts of a batch: one text, or the lines of a file; raises `ConfigError` when both or none are given."""
    if (prompt is None) == (path is None):
        raise ConfigError("prompt: give a text or --prompts FILE, one of the two")
    if path is None:
        return (prompt or "",)
    lines = lines_of(path, "prompts", "a UTF-8 file, one prompt per line")
    return tuple(line.strip() for line in lines if line.strip())


def _show_plan(name: str, num_edges: int | None, cooperation: str | None, num_steps: int, out: Path | None) -> None:
    with status("loading"):
        from gainnet.catalog.opening import load, open_request, protocol_of
        from gainnet.core.files import write_whole
        from gainnet.generation.advice import SEVERAL_EDGES
        from gainnet.protocols.drawing import draw_figure, draw_text

        config = GenerationConfig(("a red star",), name, cooperation=cooperation)
        several = protocol_of(config).max_edges > 1
        edges = (SEVERAL_EDGES if several else 1) if num_edges is None else num_edges
        plan = open_request(replace(config, num_edges=edges), load(num_steps=num_steps)).make_plan().plan
        if out is not None:
            write_whole(out, draw_figure(plan))
    typer.echo(draw_text(plan) if out is None else out)


def _death(text: str) -> tuple[str, int]:
    node, at, step = text.rpartition("@")
    if not (node and at and step.isdecimal()):
        raise ConfigError(f"fail: {text!r} is not NODE@STEP; write for example --fail edge_2@3")
    return node, int(step)


def print_report(report: Mapping[str, Any], num_items: int = 1) -> None:
    """Steps of a report as a table for people.

    Args:
        report: as `Report.to_json` makes it.
        num_items: pictures that it is about, together.
    """
    from gainnet.generation.sentences import spelled_count

    rows = [
        {
            "step": step["label"],
            "start ms": f"{step['start_s'] * 1e3:.2f}",
            "takes ms": f"{step['duration_s'] * 1e3:.2f}",
            "J": f"{step['energy_j']:.3g}",
            "bits": spelled_count(step["num_bits"]),
            "uses": spelled_count(step["num_channel_uses"]),
            # A mean far below one says that hardly anything is sent again.
            "resent": round(step["num_retransmissions"], 1),
        }
        for step in report["steps"]
    ]
    together = f" of all {num_items} pictures together" if num_items > 1 else ""
    print_table(f"Steps{together}, priced as {report['priced_as']}", tuple(rows[0]), rows)


def _print_generation(summary: Mapping[str, Any], out: Path) -> None:
    from gainnet.generation.page import first_lines, troubles
    from gainnet.generation.sentences import quality_lines, result_lines, spelled_psnr

    say(f"model: {summary['model']}")
    for reason in summary.get("decision", {}).get("reasons", ()):
        say(f"- {reason}")
    for line in (*first_lines(summary), *result_lines(summary)):
        say(line)
    print_report(summary["report"], len(summary["images"]))
    for line in troubles(summary["report"]):
        say(line)
    sampler = summary["sampler"]
    if sampler["memory"] == "handed over":
        number = sampler["num_latents"]
        more = f"{number} more latent{'s' * (number > 1)}, counted above"
        say(f"{sampler['scheduler']} handed its memory over at the cut: {more}")
    if sampler["memory"] == "restarted":
        say(f"{sampler['scheduler']} went on without its memory behind the cut, by steps of first order")
    for line in quality_lines(summary["quality"], summary["original"]):
        say(line)
    # Of a large batch the page and the JSON object have the rest.
    for each in summary["images"][:MOST_LISTED] if len(summary["images"]) > 1 else ():
        say(f"- {each['image_path']}: {each['prompt']!r}, {spelled_psnr(each['psnr_db'])}")
    say(f"see {out / 'report.html'}")
