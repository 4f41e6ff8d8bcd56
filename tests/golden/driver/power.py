"""Every power policy over drawn episodes."""

from __future__ import annotations

from typing import Any

import torch

from gainnet.catalog.opening import power_of
from gainnet.core.randomness import Random
from gainnet.power_control import Static
from gainnet.power_control.tasks import TASKS
from golden.driver.values import of_tensor


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Gains, powers, errors and rewards of some episodes.

    Args:
        case: `power`, a name, and `task`, whose environment draws the episodes.
    """
    environment = TASKS[case["task"]].environment()
    policy = Static() if case["power"] == "static" else power_of(case["power"])
    moment, rewards = environment.reset(32, Random.of(21)), []
    gains, snr = moment.episodes.gains, moment.episodes.snr
    while not moment.over:
        moment, reward = environment.step(moment, policy(environment.outlook(moment)))
        rewards.append(reward)
    return {
        "gains": of_tensor(gains),
        "snr": of_tensor(snr),
        "powers": of_tensor(moment.powers),
        "errors": of_tensor(moment.errors),
        "rewards": of_tensor(torch.stack(rewards, -1)),
    }
