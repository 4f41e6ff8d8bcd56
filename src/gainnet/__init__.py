"""gainnet runs generative AI across cloud, edge and device over a 6G radio, and shows what it costs.

>>> import gainnet
>>> from gainnet import Air, Ciag, Codecs, LinearCode, Rayleigh
>>> model = gainnet.load("scenes", num_steps=4)
>>> air = Air(Rayleigh(), snr_db=5.0)
>>> result = gainnet.generate("a yellow star", model, codecs=Codecs(seed=LinearCode(256)), air=air)
>>> result.report.num_channel_uses("down")
256.0

Every name below is loaded when it is first used, so that `import gainnet` and `gainnet --help` stay fast.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, Final

# Nothing phones home. Here, since libraries read it when they are imported, as diffusers does by itself with
# onnxruntime, which would also leave an id of the machine in ~/.cache.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# diffusers takes the shipped autoencoder only from a module that is already there.
import gainnet.models  # noqa: F401

if TYPE_CHECKING:
    # isort: off
    # run, price, advise
    from gainnet.generation import advise as advise
    from gainnet.generation import Cell as Cell
    from gainnet.generation import estimate as estimate
    from gainnet.generation import generate as generate
    from gainnet.generation import Generation as Generation
    from gainnet.generation import Picture as Picture
    from gainnet.generation import Trial as Trial
    from gainnet.protocols.transmit import Transmission as Transmission
    from gainnet.protocols.transmit import transmit as transmit

    # names to objects, and back
    from gainnet.catalog.opening import load as load
    from gainnet.catalog.opening import load_for as load_for
    from gainnet.catalog.families import parse as parse
    from gainnet.catalog.families import text_of as text_of
    from gainnet.catalog.labels import save as save
    from gainnet.network.hardware import profile as profile
    from gainnet.protocols.pricing import pricing as pricing
    from gainnet.catalog.orchestration import scenario as scenario
    from gainnet.studies import run_study as run_study

    # who computes and who sends
    from gainnet.protocols import Centralized as Centralized
    from gainnet.protocols import Ciag as Ciag
    from gainnet.protocols import Dcsuc as Dcsuc
    from gainnet.protocols import DeviceOnly as DeviceOnly
    from gainnet.protocols import Diug as Diug
    from gainnet.protocols import Draft as Draft
    from gainnet.protocols import Dsuc as Dsuc
    from gainnet.protocols import Eiug as Eiug
    from gainnet.protocols import Esuc as Esuc
    from gainnet.protocols import execute as execute
    from gainnet.protocols import Plan as Plan
    from gainnet.protocols import Protocol as Protocol
    from gainnet.protocols import Uidcg as Uidcg
    from gainnet.protocols import Uidg as Uidg
    from gainnet.protocols import Uieg as Uieg

    # what carries what
    from gainnet.codecs import AnalogSketch as AnalogSketch
    from gainnet.codecs import AVIF as AVIF
    from gainnet.codecs import Codecs as Codecs
    from gainnet.codecs import EdgeMap as EdgeMap
    from gainnet.codecs import Float32 as Float32
    from gainnet.codecs import JPEG as JPEG
    from gainnet.codecs import LinearCode as LinearCode
    from gainnet.codecs import MatchedSeed as MatchedSeed
    from gainnet.codecs import PNG as PNG
    from gainnet.codecs import QuantizedSeed as QuantizedSeed
    from gainnet.codecs import QuantizedSketch as QuantizedSketch
    from gainnet.codecs import RawAnalog as RawAnalog
    from gainnet.codecs import SeedCodec as SeedCodec
    from gainnet.codecs import TextCodec as TextCodec
    from gainnet.codecs import TransformSeed as TransformSeed
    from gainnet.codecs import WebP as WebP

    # who serves which model
    from gainnet.orchestration import BestResponse as BestResponse
    from gainnet.orchestration import Episode as Episode
    from gainnet.orchestration import Greedy as Greedy
    from gainnet.orchestration import orchestrate as orchestrate
    from gainnet.orchestration import RandomChoice as RandomChoice
    from gainnet.orchestration import SequentialGreedy as SequentialGreedy

    # who learns what from whom
    from gainnet.learning import Adapter as Adapter
    from gainnet.learning import Client as Client
    from gainnet.learning import learn as learn
    from gainnet.learning import Lora as Lora
    from gainnet.learning import Run as Run
    from gainnet.learning import SoftPrompt as SoftPrompt
    from gainnet.learning import Split as Split
    from gainnet.learning import WholeModel as WholeModel

    # over which air
    from gainnet.radio import Air as Air
    from gainnet.radio import Analog as Analog
    from gainnet.radio import Arq as Arq
    from gainnet.radio import AWGN as AWGN
    from gainnet.radio import Cdl as Cdl
    from gainnet.radio import Digital as Digital
    from gainnet.radio import Ideal as Ideal
    from gainnet.radio import Jakes as Jakes
    from gainnet.radio import Ofdm as Ofdm
    from gainnet.radio import Radios as Radios
    from gainnet.radio import Rayleigh as Rayleigh
    from gainnet.radio import Reports as Reports
    from gainnet.radio import Rician as Rician
    from gainnet.radio import Shannon as Shannon
    from gainnet.radio import SnrTrace as SnrTrace
    from gainnet.radio import Tabulated as Tabulated
    from gainnet.radio import Tdl as Tdl

    # results, randomness and errors
    from gainnet.core.errors import ConfigError as ConfigError
    from gainnet.core.errors import GainnetError as GainnetError
    from gainnet.core.randomness import Random as Random
    from gainnet.core.report import Report as Report
    # isort: on

_NAMES: Final = {
    # run, price, advise
    "gainnet.generation": "advise Cell estimate generate Generation Picture Trial",
    "gainnet.protocols.transmit": "Transmission transmit",
    # names to objects, and back
    "gainnet.catalog.opening": "load load_for",
    "gainnet.catalog.families": "parse text_of",
    "gainnet.catalog.labels": "save",
    "gainnet.network.hardware": "profile",
    "gainnet.protocols.pricing": "pricing",
    "gainnet.catalog.orchestration": "scenario",
    "gainnet.studies": "run_study",
    # who computes and who sends
    "gainnet.protocols": (
        "Centralized Ciag Dcsuc DeviceOnly Diug Draft Dsuc Eiug Esuc execute Plan Protocol Uidcg Uidg Uieg"
    ),
    # what carries what
    "gainnet.codecs": (
        "AnalogSketch AVIF Codecs EdgeMap Float32 JPEG LinearCode MatchedSeed PNG QuantizedSeed "
        "QuantizedSketch RawAnalog SeedCodec TextCodec TransformSeed WebP"
    ),
    # who serves which model
    "gainnet.orchestration": "BestResponse Episode Greedy orchestrate RandomChoice SequentialGreedy",
    # who learns what from whom
    "gainnet.learning": "Adapter Client learn Lora Run SoftPrompt Split WholeModel",
    # over which air
    "gainnet.radio": (
        "Air Analog Arq AWGN Cdl Digital Ideal Jakes Ofdm Radios Rayleigh Reports Rician Shannon SnrTrace Tabulated Tdl"
    ),
    # results, randomness and errors
    "gainnet.core.errors": "ConfigError GainnetError",
    "gainnet.core.randomness": "Random",
    "gainnet.core.report": "Report",
}
"""Names by the module that each is at home in; the imports above say the same to type checkers."""

_HOME: Final = {name: module for module, names in _NAMES.items() for name in names.split()}

__version__: str
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """The object of a name, imported when it is first used; the version is that of the installed package."""
    if name == "__version__":
        from importlib.metadata import version

        return version("gainnet")
    if name not in _HOME:
        raise AttributeError(f"module 'gainnet' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """All names, loaded or not."""
    return sorted({*globals(), *_HOME, "__version__"})
