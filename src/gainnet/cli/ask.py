"""Be the device of an edge: `ask`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from gainnet.catalog.records import GenerationConfig
from gainnet.cli.generate import GENERATION, print_report, read_prompts
from gainnet.cli.options import Asked, Usual, command
from gainnet.cli.printing import print_json, say, status

_LOCAL = ("prompts", "failures", "torch_device", "online", "height", "width")
_ASKED = replace(GENERATION, without=_LOCAL, defaults={**GENERATION.defaults, "runtime": Usual("that of the edge")})


@command("ask", _ASKED)
def ask(
    asked: Asked,
    url: str,
    prompt: str | None = None,
    *,
    prompts: Path | None = None,
    token: str | None = None,
    request_id: str = "",
    out: Path = Path("out/ask"),
    as_json: bool = False,
) -> None:
    """Make a picture with an edge, whose device this machine is; see serve.

    Args:
        url: of the edge, as serve shows it.
        prompt: what to draw.
        prompts: a file with one prompt per line, run as a batch.
        token: that the edge asks for; may stand behind # in the url instead.
        request_id: of a request that was cut off; its picture is the same.
        out: folder for pictures, step table and report.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet ask http://127.0.0.1:8000/ "a red star"
    """
    from gainnet.core.files import check_writable

    given = {name: value for name, value in asked.values.items() if name != "runtime"}
    config = GenerationConfig(read_prompts(prompt, prompts), **given)
    check_writable(out)
    with status("asking") as show:
        from gainnet.service.node.asking import ask as ask_edge
        from gainnet.service.node.asking import save

        answer = ask_edge(url, config, token, asked.values["runtime"], request_id, show)
        summary = save(answer, config, out)
    print_json(summary) if as_json else _print_answer(summary, out)


def _print_answer(summary: dict[str, Any], out: Path) -> None:
    from gainnet.generation.page import first_lines
    from gainnet.generation.sentences import cost_line

    number = len(summary["images"])
    for line in (f"model: {summary['model']}", *first_lines(summary), cost_line(summary["report"], number)):
        say(line)
    print_report(summary["report"], number)
    frames = summary["frames"]
    if frames:
        say(f"{frames['released']:g} frames, {frames['late']:g} of them late")
    for node, step in summary["failures"]:
        say(f"{node} was gone from step {step} on")
    say(f"see {out / 'image.png'}" if len(summary["images"]) == 1 else f"see {out}")
