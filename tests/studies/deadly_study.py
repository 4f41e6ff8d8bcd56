"""The toy study with cases that end their process, always or once, and one that a user can mend."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from toy_study import TOY, ToyConfig

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.studies.gairom import GAIROM
from gainnet.studies.gairom.question import GairomConfig
from gainnet.studies.study import Case, Method, Row


def open_methods(config: ToyConfig) -> Mapping[str, Method]:
    def die(case: Case, random: Random) -> Row:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("nobody gets here")

    def refuse(case: Case, random: Random) -> Row:
        raise ConfigError(f"scale: {case.values['scale']} is refused; give another")

    return {"mean": refuse, "median": die}


def cases(config: ToyConfig) -> Iterator[Case]:
    yield Case(str(config.only), {"scale": 1.0}, 0)


def open_stumbling(config: ToyConfig) -> Mapping[str, Method]:
    """The toy's own methods, one of which is killed with the worker that runs it, once."""
    methods = TOY.open(config)
    mark = Path(os.environ["STUMBLED"])

    def stumble(case: Case, random: Random) -> Row:
        if case.values["scale"] == 2.0 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return methods["median"](case, random)

    return {**methods, "median": stumble}


def open_mortal(config: GairomConfig) -> Mapping[str, Method]:
    """Orchestrated worlds, one of which kills its worker, once."""
    methods = GAIROM.open(config)
    mark = Path(os.environ["STUMBLED"])

    def stumble(case: Case, random: Random) -> Row:
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return methods["greedy"](case, random)

    return {**methods, "greedy": stumble}


MORTAL = replace(GAIROM, open=open_mortal)
STUMBLING = replace(TOY, open=open_stumbling)
DEADLY = replace(TOY, cases=cases, open=open_methods)
