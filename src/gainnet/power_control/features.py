"""Features of an outlook for learned policies: numbers of the size of one, all known before the block is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import torch
from torch import Tensor

from gainnet.radio.power import Outlook

_LEAST = 1e-5


def _log(x: Tensor) -> Tensor:
    return x.clamp_min(_LEAST).log()


def _received(outlook: Outlook) -> Tensor:
    return _log(outlook.gain * outlook.snr) / 3


def _snr(outlook: Outlook) -> Tensor:
    return _log(outlook.snr) / 2.3 - 1


def _energy(outlook: Outlook) -> Tensor:
    return (outlook.energy / outlook.num_left + 0.02).log()


def _left(outlook: Outlook) -> Tensor:
    """Near 0 for one block, 1 for 16."""
    return torch.full_like(outlook.gain, outlook.num_left).log() / 2.77


def _last(outlook: Outlook) -> Tensor:
    return torch.full_like(outlook.gain, 1 / outlook.num_left)


def _importance(outlook: Outlook) -> Tensor:
    """Of the current block against all that are left."""
    roots = outlook.importance.sqrt()
    return _log(roots[..., 0] / roots.mean(-1).clamp_min(_LEAST))


def _evenness(outlook: Outlook) -> Tensor:
    """1 where all blocks that are left matter alike."""
    roots = outlook.importance.sqrt()
    return roots.mean(-1).square() / outlook.importance.mean(-1).clamp_min(_LEAST)


def _error(outlook: Outlook) -> Tensor:
    """Of the blocks so far against what is at stake."""
    return ((outlook.error + 0.01) / (outlook.error + outlook.importance.sum(-1) / (1 + outlook.snr) + 0.01)).log()


def _before(blocks: int) -> Callable[[Outlook], Tensor]:
    """ln g of an earlier block; 0 where there was none."""

    def feature(outlook: Outlook) -> Tensor:
        if outlook.gains.shape[-1] <= blocks:
            return torch.zeros_like(outlook.gain)
        return _log(outlook.gains[..., -1 - blocks]) / 2

    return feature


def _mean_before(outlook: Outlook) -> Tensor:
    """Mean of ln g over earlier blocks; 0 where there were none."""
    if outlook.gains.shape[-1] == 1:
        return torch.zeros_like(outlook.gain)
    return _log(outlook.gains[..., :-1]).mean(-1) / 2


FEATURES: Final[dict[str, Callable[[Outlook], Tensor]]] = {
    "received": _received,
    "snr": _snr,
    "energy": _energy,
    "left": _left,
    "last": _last,
    "importance": _importance,
    "evenness": _evenness,
    "error": _error,
    "before_1": _before(1),
    "before_2": _before(2),
    "before_3": _before(3),
    "mean_before": _mean_before,
}
"""Features by name, each [*batch]."""


def observe(outlook: Outlook, names: Iterable[str]) -> Tensor:
    """[*batch, num_names], float32.

    >>> alone = Outlook(torch.ones(1), torch.tensor(10.0), torch.tensor(0.98), torch.ones(1), torch.zeros(()), 4.0)
    >>> observe(alone, ("energy", "left"))
    tensor([0., 0.])
    """
    return torch.stack([FEATURES[name](outlook) for name in names], -1).float()


def before_gain(observation: Tensor, names: tuple[str, ...]) -> Tensor:
    """[*batch, num_names], what of an observation is known before the gain of its block is."""
    return observation * torch.tensor([float(name != "received") for name in names])
