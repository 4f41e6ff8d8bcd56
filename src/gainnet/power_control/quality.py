r"""Rewards: the effect of a block's error on the latent, and on the picture that is decoded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol, final

import torch
from torch import Tensor

from gainnet.core.errors import ModelError
from gainnet.power_control.optimum import Chain
from gainnet.radio.power import block_error

IMPORTANCE = Path(__file__).parent / "pretrained" / "importance.json"


class Reward(Protocol):
    """Reward of a block when it is sent."""

    def __call__(self, error: Tensor, static_error: Tensor, snr: Tensor, over: bool, /) -> Tensor:
        """[*batch], reward of a block.

        Args:
            error: [*batch, num_sent], weighted errors of the blocks so far.
            static_error: [*batch, num_sent], what they would be at constant power over the same gains.
            snr: [*batch], linear mean SNR.
            over: whether this was the last block.
        """


@final
@dataclass(frozen=True)
class LatentReward:
    """Squared error that was saved against constant power over the same gains, over its mean for Rayleigh fading.

    What constant power would do does not depend on the policy: it takes luck out of the sum and leaves the best policy
    the best. Sums over an episode of T blocks are in units of the mean error.
    """

    def __call__(self, error: Tensor, static_error: Tensor, snr: Tensor, over: bool) -> Tensor:
        return (static_error[..., -1] - error[..., -1]) / static_mean_error(snr)


@final
@dataclass(frozen=True)
class PictureReward:
    r"""PSNR that a picture gains against constant power over the same gains, in dB, block by block.

    $\Phi_t = 10 \log_{10} \frac{f + \sum_{s \le t} w_s e_s^{static} + r_t}{f + \sum_{s \le t} w_s e_s + r_t}$, the
    reward is $\Phi_t - \Phi_{t-1}$, which adds up to $\Phi_T$, the gain of the whole picture. Weights $w_t$ and floor f
    (what was never sent) are measured with the real decoder, see `measure_importance`; $r_t$, what blocks to come would
    add at constant power on average, is 0 at the end and only shapes the reward (Ng, Harada and Russell 1999).

    Args:
        floor: $f$ >= 0, in the units of the weights.
        importance: weights $w_t$ of the blocks.
    """

    floor: float
    importance: tuple[float, ...] = (1.0,) * 16

    def __call__(self, error: Tensor, static_error: Tensor, snr: Tensor, over: bool) -> Tensor:
        now = self._gain_db(error, static_error, snr)
        return now - self._gain_db(error[..., :-1], static_error[..., :-1], snr)

    def _gain_db(self, error: Tensor, static_error: Tensor, snr: Tensor) -> Tensor:
        # What blocks to come would add on average: potential-based shaping leaves the best policy the best.
        rest = self.floor + sum(self.importance[error.shape[-1] :]) * static_mean_error(snr)
        return 10 * ((rest + static_error.sum(-1)) / (rest + error.sum(-1))).log10()


def static_mean_error(snr: Tensor) -> Tensor:
    r"""[...], mean error of a block at constant power over Rayleigh fading: $\mathrm{E}[1 / (1 + g \gamma)]$.

    >>> round(float(static_mean_error(torch.tensor(1.0))), 4)  # e E_1(1)
    0.5963
    """
    chain = _nodes()
    nodes, weights = chain.nodes.to(snr.dtype), chain.transition[0].to(snr.dtype)
    return block_error(torch.ones(()), nodes, snr.unsqueeze(-1)) @ weights


@lru_cache(maxsize=1)
def _nodes() -> Chain:
    return Chain.rayleigh(64)


@final
@dataclass(frozen=True)
class Importance:
    """How much the blocks of a nested seed of the shipped model matter.

    Args:
        latent: [num_blocks], share of the latent's variance in every block, of mean 1; components in order.
        picture: [num_blocks], share of the picture's error that an error of the block makes, of mean 1; components are
            dealt to the blocks in turn.
        picture_floor: error of the picture without any noise, since components are left out, in the same units.
        num_channel_uses: of the seed.
        model_sha256: digest of the model.
    """

    latent: tuple[float, ...]
    picture: tuple[float, ...]
    picture_floor: float
    num_channel_uses: int
    model_sha256: str


@lru_cache(maxsize=4)
def load_importance(path: Path = IMPORTANCE) -> Importance:
    """The importance of blocks that `gainnet train power-importance` measured.

    Raises:
        ModelError: the file is missing or damaged.

    >>> importance = load_importance()
    >>> importance.latent[0] > 1 > importance.latent[-1]
    True
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Importance(
            tuple(float(x) for x in found["latent"]),
            tuple(float(x) for x in found["picture"]),
            float(found["picture_floor"]),
            int(found["num_channel_uses"]),
            str(found["model_sha256"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"power control: {path} is missing or damaged ({error!r}); reinstall the package") from None
