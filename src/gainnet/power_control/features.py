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


def _importance(outlook: Outlook) -> Tensor:
    """Of the current block against all that are left."""
    roots = outlook.importance.sqrt()
    return _log(roots[..., 0] / roots.mean(-1).clamp_min(_LEAST))


def _evenness(outlook: Outlook) -> Tensor:
    """1 where all blocks that are left matter alike."""
    roots = outlook.importance.sqrt()
    return roots.mean(-1).square() / outlook.importance.mean(-1).clamp_min(_LEAST)


def _before(outlook: Outlook, first: int | None = None, stop: int | None = None) -> Tensor:
    """Mean of ln g over earlier blocks from `first` to `stop`, counted from the end; 0 where there are none."""
    earlier = outlook.gains[..., :-1][..., first:stop]
    return _log(earlier).mean(-1) / 2 if earlier.shape[-1] else torch.zeros_like(outlook.gain)


FEATURES: Final[dict[str, Callable[[Outlook], Tensor]]] = {
    "received": lambda outlook: _log(outlook.gain * outlook.snr) / 3,
    "snr": lambda outlook: _log(outlook.snr) / 2.3 - 1,
    "energy": lambda outlook: (outlook.energy / outlook.num_left + 0.02).log(),
    # Near 0 for one block, 1 for 16.
    "left": lambda outlook: torch.full_like(outlook.gain, outlook.num_left).log() / 2.77,
    "last": lambda outlook: torch.full_like(outlook.gain, 1 / outlook.num_left),
    "importance": _importance,
    "evenness": _evenness,
    # Errors of the blocks so far against what is at stake.
    "error": lambda o: ((o.error + 0.01) / (o.error + o.importance.sum(-1) / (1 + o.snr) + 0.01)).log(),
    "before_1": lambda outlook: _before(outlook, -1),
    "before_2": lambda outlook: _before(outlook, -2, -1),
    "before_3": lambda outlook: _before(outlook, -3, -2),
    "mean_before": _before,
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
