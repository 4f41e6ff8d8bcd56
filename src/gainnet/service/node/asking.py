"""`gainnet ask`: from a configuration to a picture that edge and device make together, and to its files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import torch

from gainnet.catalog.labels import met_in
from gainnet.catalog.opening import recordings_of
from gainnet.catalog.records import GenerationConfig
from gainnet.core.errors import ModelError
from gainnet.core.files import write_whole
from gainnet.core.outside import read_text
from gainnet.core.types import Spec
from gainnet.generation.arguments import strength_of
from gainnet.generation.generate import png
from gainnet.generation.original import original_of
from gainnet.generation.picture import open_picture
from gainnet.generation.save import original_json, step_table, write_original
from gainnet.models.late import load_late
from gainnet.models.loading import SHIPPED, find_folder, shipped_models
from gainnet.models.shipped import suited_model, unknown_words
from gainnet.protocols.task import PICTURE
from gainnet.service.node.device import Answer, Device, introduce
from gainnet.service.node.digests import part_digests
from gainnet.service.node.order import Asked
from gainnet.service.node.steps import text_of_codec
from gainnet.service.provenance import Cost, mark, source_type


def ask(
    url: str,
    config: GenerationConfig,
    token: str | None = None,
    runtime: str | None = None,
    request_id: str = "",
    watch: Callable[[str], None] = lambda label: None,
) -> Answer:
    """A picture from an edge, of which this machine is the device.

    Args:
        url: of the edge, `http://host:port`; a token may stand behind `#`.
        config: what to make; its model is the one of this machine, which needs the parts that the device runs alone;
            that of the edge's which knows most words when `None`.
        token: that the edge asks for.
        runtime: torch or onnx; that of the edge when `None`.
        request_id: of a request that was cut off before; drawn when empty.
        watch: called with the label of each step.

    Raises:
        GainnetError: the edge is not there or refuses, or a part is missing or has other weights.
    """
    parts = urlsplit(url)
    url, token = urlunsplit(parts._replace(fragment="")), token or parts.fragment or None
    name = config.model or _model_of(introduce(url, token), config)
    edge = introduce(url, token, part_digests(find_folder(name)), name)
    named: Any = runtime or edge.get("runtime")
    config = replace(config, model=name, runtime=named)
    sha256 = read_text(edge.get("sha256"), "sha256", 64)
    model = load_late(name, sha256, config.num_steps, config.guidance_scale, config.runtime)
    picture = None if config.image is None else open_picture(Path(config.image), Spec(model.image.shape))
    strength = strength_of(picture, config.strength)
    asked = Asked(_travelling(config), strength, recordings_of(config))
    answer = Device(url, asked, model, picture, token, request_id, watch=watch).ask()
    # A device without the autoencoder's weights has its picture all the same, and nothing to measure with.
    with suppress(ModelError), torch.inference_mode():
        return replace(answer, original=original_of(picture, model, answer.values))
    return answer


def _model_of(edge: Mapping[str, Any], config: GenerationConfig) -> str:
    """The edge's model that knows most words; what a peer says is never a folder or an id of a hub."""
    offered = edge.get("models", [edge.get("model")])
    among = [name for name in shipped_models() if isinstance(offered, list) and name in offered]
    return suited_model(config.prompts, among or SHIPPED)


def save(answer: Answer, config: GenerationConfig, folder: Path) -> dict[str, Any]:
    """Writes pictures, step table and report of an answer; returns the JSON object that is written, too.

    image.png (image_000.png, … for a batch) · steps.csv · report.json; of image-to-image original.png and kept.png, too

    Args:
        answer: what came.
        config: what was asked for.
        folder: where the files go.

    Raises:
        ConfigError: the folder cannot be written.
    """
    names = ["image.png"] if len(answer.values) == 1 else [f"image_{k:03d}.png" for k in range(len(answer.values))]
    cost = Cost()
    for name, values in zip(names, answer.values, strict=True):
        marked, one = _marked(png(values), answer)
        write_whole(folder / name, marked)
        cost += one
    write_whole(folder / "steps.csv", step_table(answer.report).encode())
    write_original(answer.original, folder)
    summary = _summary(answer, config, [str(folder / name) for name in names])
    summary["provenance"] = {"evidence": "mark" if answer.receipt is None else "receipt", **cost.to_json()}
    # Last, so that a folder with a report is complete.
    write_whole(folder / "report.json", (json.dumps(summary, indent=2) + "\n").encode())
    return summary


def _summary(answer: Answer, config: GenerationConfig, paths: list[str]) -> dict[str, Any]:
    """The keys of `gainnet generate --json`, and what only a device knows; `null` where it has nothing to compare."""
    prompts, codecs = answer.order.prompts, answer.order.planned.codecs
    fading, snr_db = _air_of(answer, config)
    images = [
        {"prompt": prompt, "image_path": path, "psnr_db": None} for prompt, path in zip(prompts, paths, strict=True)
    ]
    return {
        "protocol": config.protocol,
        "prompt": prompts[0] if len(prompts) == 1 else list(prompts),
        "model": answer.order.model,
        "runtime": answer.edge.get("runtime"),
        "codec": {kind: config.codec.get(kind, text_of_codec(kind, codec)) for kind, codec in codecs.items()},
        "fading": fading,
        "snr_db": snr_db,
        "power": config.power,
        "random_seed": config.random_seed,
        "num_edges": len(answer.order.planned.network.edges),
        "image_path": paths[0],
        "images": images,
        "wall_s": answer.wall_s,
        # The reference would take the weights that a device does without.
        "quality": None,
        "original": original_json(answer.original, Path(paths[0]).parent),
        "report": answer.report.to_json(),
        "baseline": None,
        "configuration": Asked(_travelling(config)).to_json()["config"],
        "warnings": [asdict(word) for word in unknown_words(answer.order.model, prompts)],
        "request_id": answer.request_id,
        "failures": [list(each) for each in answer.failures],
        "frames": dict(answer.ending),
        "edge": _edge(answer.edge),
    }


def _marked(picture: bytes, answer: Answer) -> tuple[bytes, Cost]:
    """A PNG file that says that it was generated, and shows the edge's receipt for the payload that it was made of."""
    begin_s = time.thread_time()
    receipt = None if answer.receipt is None else answer.key.seal(answer.receipt, picture)
    source = source_type(PICTURE in answer.order.given)
    marked = mark(picture, source, None if receipt is None else receipt.to_text())
    return marked, Cost.since(begin_s, picture, marked)


def _air_of(answer: Answer, config: GenerationConfig) -> tuple[str, float | None]:
    """Fading and mean SNR in dB, in the words of the configuration where it has its own."""
    if config.delivery is not None:
        return "delivery", None
    fading, air = met_in(answer.order.planned.network)
    if config.network is not None and air is not None:
        return fading, air.snr_db
    trace = recordings_of(config).snr_trace
    return (config.fading, config.snr_db) if trace is None else ("trace", trace.mean_snr_db)


def _travelling(config: GenerationConfig) -> GenerationConfig:
    """A configuration without files of this machine: the picture stays here, the others go as numbers."""
    return replace(config, image=None, strength=None, trace=None, delivery=None, network=None)


def _edge(edge: Mapping[str, Any]) -> dict[str, Any]:
    return {name: edge.get(name) for name in ("version", "model", "sha256", "pace")}
