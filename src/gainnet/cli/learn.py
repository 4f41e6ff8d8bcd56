"""Learning across edge and devices: `learn`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from gainnet.cli.options import Asked, Fields, command
from gainnet.cli.printing import print_json, print_rounds, rounds_progress, say

_LEARNING = Fields(
    "gainnet.catalog.records:LearnConfig",
    without=("num_texts", "edge_rate", "report_error_db", "max_attempts", "bandwidth_hz"),
    panels={
        "Model and text": ("task", "model", "domains", "texts", "pictures", "num_pictures", "row_length", "skew"),
        "Training": ("num_steps", "batch_size", "rate", "optimizer", "rank", "cut", "codec"),
        "This machine": ("torch_device", "online", "random_seed"),
        "Air and hardware": ("link", "fading", "snr_db", "hardware", "edge_hardware"),
    },
)


@command("learn", _LEARNING)
def learn(asked: Asked, *, out: Path = Path("out/learn"), as_json: bool = False) -> None:
    """Fine-tune a model together with devices that keep their text or pictures. Goes on where it was stopped.

    Args:
        out: folder for checkpoint and records.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet learn --algorithm lora --clients 4 --rounds 5 --snr-db 10
    """
    from gainnet.catalog.drawing import usual_of
    from gainnet.catalog.learning import check_used, open_session
    from gainnet.catalog.records import LearnConfig
    from gainnet.core.files import check_writable
    from gainnet.learning.save import save

    config = LearnConfig(**usual_of(asked.values, asked.given))
    # Before anything is loaded or written: a mistake costs no seconds and leaves no folder.
    check_used(config, asked.given)
    check_writable(out)
    name = config.algorithm
    with rounds_progress(name) as show:
        session = open_session(config)
        run = session.run(out, show)
    saved = save(session, run, out, name)
    summary: dict[str, Any] = {"algorithm": name, "out": str(out), "rounds": list(run.rounds)}
    loss, drawing = run.rounds[-1]["test_loss"], config.task == "draw"
    summary |= {"test_loss": loss} if drawing else {"perplexity": math.exp(loss)}
    # The adapter is in `out`.
    kept = {key: saved[key] for key in ("task", "start", "nodes", "took_part", "adapter")}
    summary |= {"report": str(out / "report.html"), **kept}
    if as_json:
        return print_json(summary)
    print_rounds(f"{name}: {out}", saved["curve"], run.rounds)
    found = f"test loss {loss:.4g} on pictures" if drawing else f"perplexity {math.exp(loss):.4g} on text"
    say(f"{found} that nobody trained on")
    say(summary["report"])
    return None
