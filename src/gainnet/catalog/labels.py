"""Texts that name the objects of a generation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gainnet.catalog.families import text_of
from gainnet.catalog.opening import Request
from gainnet.catalog.records import IDEAL, GenerationConfig
from gainnet.core.errors import ConfigError
from gainnet.core.plugins import snake_case
from gainnet.generation.cell import downlink
from gainnet.generation.generate import Generation
from gainnet.generation.labels import Labels
from gainnet.generation.save import save as write_files
from gainnet.models.shipped import unknown_words
from gainnet.network import Network
from gainnet.network.hardware import Hardware, profiles
from gainnet.network.scenario import DEVICE
from gainnet.radio import Air, Analog, Digital, Powered


def save(generation: Generation, folder: Path | str) -> dict[str, Any]:
    """Writes pictures, step table and report of a generation; returns the JSON object that is written, too.

    Args:
        generation: what came out.
        folder: where the files go.

    Raises:
        ConfigError: the folder cannot be written.
    """
    return write_files(generation, Path(folder), labels_of(generation))


def labels_of(generation: Generation) -> Labels:
    """The texts that name what a generation was made with."""
    network = generation.network
    fading, air = met_in(network)
    edge = network.nodes[network.edges[0]].hardware if network.edges else network.nodes[DEVICE].hardware
    return Labels(
        protocol=_named("protocol", generation.protocol),
        model=generation.model,
        codecs={kind: _named(f"codec.{kind}", codec) for kind, codec in generation.codecs.items()},
        fading=fading,
        met=air,
        power=_power(generation),
        hardware=_hardware(network.nodes[DEVICE].hardware),
        edge_hardware=_hardware(edge),
        configuration={
            "protocol": _named("protocol", generation.protocol),
            "codecs": _named("codecs", generation.given),
            # Of a network it is the air that the content came over.
            "air": _named("air", air or Air(snr_db=math.inf)),
        },
    )


def labels_of_config(generation: Generation, config: GenerationConfig) -> Labels:
    """As `labels_of`, in the words of the configuration where it has its own."""
    found = labels_of(generation)
    fading, met = _asked_air(config, found.fading, found.met)
    return replace(
        found,
        protocol=config.protocol,
        model=config.model or found.model,
        codecs=_asked_codecs(config, found.codecs),
        fading=fading,
        met=met,
        power=config.power,
        hardware=config.hardware,
        edge_hardware=config.edge_hardware,
    )


def priced_json(request: Request, config: GenerationConfig) -> dict[str, Any]:
    """The price of a generation that does not run, as plain values, named as those of one that does.

    Args:
        request: the objects.
        config: their texts.
    """
    planned = request.make_plan()
    fading, met = _asked_air(config, *met_in(planned.network))
    return {
        "protocol": config.protocol,
        "codec": _asked_codecs(config, {kind: _named(f"codec.{kind}", x) for kind, x in planned.codecs.items()}),
        "fading": fading,
        "snr_db": met and met.snr_db,
        "report": request.estimate().to_json(),
        "model": request.model.name,
        "warnings": [asdict(each) for each in unknown_words(request.model.name, request.prompts)],
    }


def _asked_air(config: GenerationConfig, fading: str, met: Air | None) -> tuple[str, Air | None]:
    """The air that content meets, in the words of the configuration where it has its own."""
    # An air without noise is stated with the SNR that was asked for.
    met = met or Air(snr_db=config.snr_db)
    if config.trace is not None:
        return "trace", met
    if config.delivery is not None:
        return "delivery", None
    return (config.fading if config.network is None else fading), met


def _asked_codecs(config: GenerationConfig, used: Mapping[str, str]) -> dict[str, str]:
    return dict(used) | {kind: text for kind, text in config.codec.items() if kind in used}


def met_in(network: Network) -> tuple[str, Air | None]:
    """The air that content meets in a network, with the text of its fading; `None` where it has none.

    Args:
        network: nodes and links.
    """
    link = downlink(network)
    air = link.air if isinstance(link, Digital) else None
    return IDEAL if air is None else _named("fading", air.fading), air


def _named(family: str, value: object) -> str:
    """The text of an object; the name of its class where no text can say it."""
    try:
        return text_of(family, value)
    except ConfigError:
        return snake_case(type(value).__name__)


def _power(generation: Generation) -> str | None:
    links = (link for bearers in generation.network.links.values() for link in bearers)
    fadings = (link.air.fading for link in links if isinstance(link, Analog))
    policy: Callable[..., Any] | None = next((each.policy for each in fadings if isinstance(each, Powered)), None)
    return None if policy is None else _named("power", policy)


def _hardware(found: Hardware) -> str:
    return next((name for name, known in profiles().items() if known == found), "own hardware")
