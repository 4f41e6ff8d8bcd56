"""Models for devices without torch: `export device`."""

from __future__ import annotations

from pathlib import Path

import typer

from gainnet.cli.options import command
from gainnet.cli.printing import print_json, status


@command("device")
def device(*, out: Path, model: str = "scenes", as_json: bool = False) -> None:
    """Write what a device computes with as ONNX graphs, weights and tables, with a manifest of digests.

    In it lies a model folder: `generate --model FOLDER/model --runtime onnx` reads it.

    Args:
        out: folder for the files.
        model: scenes, a folder in diffusers' format, or a hub id in the local cache.
        as_json: one JSON object on standard output, nothing else.

    Example:
        gainnet export device --out out/device
    """
    with status("loading") as show:
        from gainnet.models.loading import load_model
        from gainnet.service.exports import INDEX, export_device

        loaded = load_model(model)
        show("writing graphs")
        index = export_device(loaded, out)
    if as_json:
        return print_json(index)
    total = sum(each["num_bytes"] for each in index["files"].values())
    return typer.echo(f"{len(index['files'])} files, {total / 1e6:.1f} MB, digests in {out / INDEX}")
