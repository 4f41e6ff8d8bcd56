"""Transmit power over fading blocks: environment, closed-form rules, optima, and policies that were learned.

The contract of a policy is in `gainnet.radio.power`, so that links do not depend on this package.
"""

from collections.abc import Callable
from functools import partial

from gainnet.power_control.env import Environment, EnvState, Episodes
from gainnet.power_control.learned import Learned, load_policy, pretrained_names, trained_config
from gainnet.power_control.optimum import CausalOptimum, Chain, non_causal_powers
from gainnet.power_control.policies import FixedMultiplier, Greedy, MeanGain, Replanned, Static, TruncatedInversion
from gainnet.radio.power import PowerPolicy

POWERS: dict[str, Callable[[], PowerPolicy]] = {
    "greedy": Greedy,
    "truncated_inversion": TruncatedInversion,
    "fixed_multiplier": FixedMultiplier,
    "mean_gain": MeanGain,
    "replanned": Replanned,
    "ppo": partial(load_policy, "ppo-varied-0"),
    "sac": partial(load_policy, "sac-equal-0"),
    "pathwise": partial(load_policy, "pathwise-varied-0"),
}
"""Policies by the name that the command line takes; each can be made without arguments."""


__all__ = [
    "POWERS",
    "CausalOptimum",
    "Chain",
    "EnvState",
    "Environment",
    "Episodes",
    "FixedMultiplier",
    "Greedy",
    "Learned",
    "MeanGain",
    "PowerPolicy",
    "Replanned",
    "Static",
    "TruncatedInversion",
    "load_policy",
    "non_causal_powers",
    "pretrained_names",
    "trained_config",
]
