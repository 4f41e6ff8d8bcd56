"""A device as a process that kills itself: `python -m gainnet.studies.serving_faults.victim URL ID SEED PHASE`."""

from __future__ import annotations

import os
import signal
import sys

from gainnet.catalog.records import GenerationConfig
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.service.node.device import Device
from gainnet.service.node.order import Asked
from gainnet.studies.serving_faults.trigger import Trigger
from gainnet.studies.settings import linear_seed

NUM_STEPS = 2
PROTOCOLS = ("eiug", "centralized", "esuc")
"""Of one edge and a device, in turn."""


def config_of(random_seed: int) -> GenerationConfig:
    """Configuration that a device asks of an edge without others."""
    protocol = PROTOCOLS[random_seed % len(PROTOCOLS)]
    return GenerationConfig(
        ("a red star",), protocol, snr_db=8.0, num_steps=NUM_STEPS, random_seed=random_seed, harq="none",
        codec=linear_seed(protocol),
    )  # fmt: skip


def die(url: str, model: DiffusionModel, request_id: str, random_seed: int, phase: str) -> None:
    """Asks, and kills this process in a phase.

    Args:
        url: of the edge.
        model: of the device.
        request_id: of the request.
        random_seed: of the picture.
        phase: of the request.
    """
    trigger = Trigger(phase, "edge", lambda: os.kill(os.getpid(), signal.SIGKILL))
    Device(url, Asked(config_of(random_seed)), model, request_id=request_id, tap=trigger).ask()


def main() -> None:
    """Entry point of the process."""
    url, request_id, random_seed, phase = sys.argv[1:]
    die(url, load_model("scenes", NUM_STEPS), request_id, int(random_seed), phase)


if __name__ == "__main__":
    main()
