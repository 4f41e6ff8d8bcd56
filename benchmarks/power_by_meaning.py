"""Where is transmit power worth more when it follows what a block means? Closed forms alone, nothing is trained.

    python benchmarks/power_by_meaning.py

Sixteen blocks of a seed at unit power, weighted by what their errors mean: to the latent, of principal components in
order; to the picture, of components dealt to the blocks in turn (`gainnet train power-importance` measured both). Peak
power is four times the mean. `channel` knows all gains and takes blocks as alike, `meaning` knows the weights and no
gain, `both` knows everything: the limit of every policy.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gainnet.core.units import db_to_linear, linear_to_db
from gainnet.power_control.optimum import non_causal_powers
from gainnet.power_control.quality import load_importance

NUM_EPISODES, NUM_BLOCKS, PEAK = 1000, 16, 4.0
NUM_HALVINGS = 20


def error(powers: Tensor, gains: Tensor, snr: Tensor, weights: Tensor) -> float:
    """Mean weighted squared error of blocks [num_episodes, num_blocks] behind an MMSE receiver; snr [num_episodes]."""
    return float((weights / (1 + powers * gains * snr[:, None])).sum(-1).mean())


def optimum(gains: Tensor, snr: Tensor, weights: Tensor) -> float:
    """The least error with all gains [num_episodes, num_blocks] known; snr [num_episodes]."""
    return error(non_causal_powers(gains, snr, weights, PEAK), gains, snr, weights)


def energy_saved(gains: Tensor, snr: Tensor, weights: Tensor, reached: float) -> float:
    """Share of the energy that the optimum saves where another policy reaches an error; arguments as of `optimum`."""
    low, high = 0.1, 1.0
    for _ in range(NUM_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if optimum(gains, snr * middle, weights) > reached else (low, middle)
    return 1.0 - high


def main() -> None:
    """Prints one line per weights, fading and SNR."""
    generator = torch.Generator().manual_seed(0)
    drawn = -torch.rand(NUM_EPISODES, NUM_BLOCKS, generator=generator).clamp_min(1e-9).log()
    ones, importance = torch.ones_like(drawn), load_importance()
    for name, values in (("latent", importance.latent), ("picture", importance.picture)):
        weights = torch.tensor(values).expand_as(drawn)
        for fading, gains in (("a gain per block", drawn), ("one gain", drawn[:, :1].expand_as(drawn))):
            for snr_db in (0.0, 5.0, 10.0, 15.0, 20.0):
                snr = torch.full((NUM_EPISODES,), db_to_linear(snr_db))
                constant = error(ones, gains, snr, weights)
                channel = error(non_causal_powers(gains, snr, ones, PEAK), gains, snr, weights)
                meaning = error(non_causal_powers(ones, snr, weights, PEAK), gains, snr, weights)
                both = optimum(gains, snr, weights)
                gains_db = [linear_to_db(constant / each) for each in (channel, meaning, both)]
                saved = [energy_saved(gains, snr, weights, each) for each in (min(constant, channel), meaning)]
                spelled = " / ".join(f"{float(x):.2f}" for x in gains_db)
                print(
                    f"{name}, {fading}, {snr_db:g} dB: channel / meaning / both gain {spelled} dB over constant power; "
                    f"both saves {saved[0]:.0%} of the energy of the better of constant and channel, "
                    f"{saved[1]:.0%} of that of meaning"
                )


if __name__ == "__main__":
    main()
