"""Settings, cases and metrics of the study serving-faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, final

from gainnet.studies.settings import Natural, NonEmpty, Seeds, one_of
from gainnet.studies.study import Case

ENGINE, EDGE, DEVICE, FRAMES, STREAMS, STRANGERS = "engine", "edge", "device", "frames", "streams", "strangers"
VICTIMS: Final = (ENGINE, EDGE, DEVICE)
"""Whose process is killed: the first edge with its engine, an edge that has joined it, or the device."""
METHODS: Final = (*VICTIMS, FRAMES, STREAMS, STRANGERS)
PHASES: Final = ("before_accept", "queued", "denoising", "encoding", "sending", "before_acknowledgement")
WARM, COLD = "warm", "cold"
KINDS: Final = ("idle", "slow", "oversized", "wrong_token", "wrong_origin", "wrong_host")
"""Of strangers, in the place of a phase."""
METRIC_NAMES: Final = (
    "kills",
    *(f"kills.{victim}" for victim in VICTIMS),
    *(f"kills.{phase}" for phase in PHASES),
    "kills.cold",
    "lost",
    "different",
    "malformed_frames",
    "malformed_frames.tls",
    "strangers",
    "strangers.let_in",
    "served_beside_strangers",
    "tracebacks",
    "memory_growth_bytes",
)


@final
@dataclass(frozen=True)
class FaultsConfig:
    """Settings of the study serving-faults.

    Args:
        random_seeds: repetitions.
        methods: whose process is killed, frames through the parser or over TLS streams, and strangers.
        phases: of a request, in which a process is killed.
        num_kills: per victim and phase, of processes that are forked again from one that has the model.
        num_cold: per victim and phase, of processes that are started anew by the command.
        num_frames: malformed ones through the parser.
        num_streams: malformed ones over TLS, each on a connection of its own.
        num_strangers: of every kind, all at once.
    """

    random_seeds: Seeds
    methods: NonEmpty[Annotated[str, one_of(METHODS)]]
    phases: NonEmpty[Annotated[str, one_of(PHASES)]]
    num_kills: Natural
    num_cold: Natural
    num_frames: Natural
    num_streams: Natural
    num_strangers: Natural


def cases(config: FaultsConfig) -> Iterator[Case]:
    """One case per kill, so that a run that is stopped goes on where it was; one for all frames of a kind."""
    for random_seed in config.random_seeds:
        for method in config.methods:
            if method in (FRAMES, STREAMS, STRANGERS):
                for kind in KINDS if method == STRANGERS else ("",):
                    yield Case(method, {"phase": kind, "start": "", "number": 0}, random_seed)
                continue
            # Phases innermost: what is slow on this machine for a while meets all of them alike.
            for start, count in ((WARM, config.num_kills), (COLD, config.num_cold)):
                for number in range(count):
                    for phase in config.phases:
                        yield Case(method, {"phase": phase, "start": start, "number": number}, random_seed)
