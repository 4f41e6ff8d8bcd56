"""Dropout whose masks depend on a key and a place, not on the order of draws: both sides of a cut drop the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from gainnet.core.randomness import Random


@contextmanager
def keyed_dropout(roots: Iterable[nn.Module], random: Random) -> Iterator[None]:
    r"""While it lasts, modules in training mode drop by masks of (random seed, name of the module, n-th mask in it).

    $y = x \, m / (1 - p)$ with $m = 1$ at probability $1 - p$   (Srivastava et al. 2014)

    A model and its segments then drop the same entries, in one process or in several, on any processor. Attention has
    to be eager: fused kernels draw masks of their own.

    Args:
        roots: models, or segments of one model, which have the names of the whole.
        random: one item; of this step.

    >>> layer, x = nn.Dropout(0.5).train(), torch.ones(100)
    >>> with keyed_dropout([layer], Random.of(3)):
    ...     first = layer(x)
    >>> with keyed_dropout([layer], Random.of(3)):
    ...     bool((layer(x) == first).all()), int((first == 0).sum())
    (True, 50)
    """
    mode = _Keyed(random)
    with ExitStack() as hooks:
        for root in roots:
            for name, module in root.named_modules():
                hooks.callback(module.register_forward_pre_hook(mode.enter(name)).remove)
                hooks.callback(module.register_forward_hook(mode.leave, always_call=True).remove)
        with mode:
            yield


@final
class _Keyed(TorchFunctionMode):
    """Takes the place of torch's dropout; knows which module is running."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self._running: list[str] = []
        self._counts: Counter[str] = Counter()

    def enter(self, name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            if not self._running:
                # A pass begins: the code around the blocks runs in every segment, and counts the same in each.
                self._counts.clear()
            self._running.append(name)

        return hook

    def leave(self, *_: Any) -> None:
        self._running.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not functional.dropout:
            return func(*args, **(kwargs or {}))
        return self._dropped(*args, **(kwargs or {}))

    def _dropped(self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0.0:
            return input
        place = self._running[-1] if self._running else ""
        drawn = self._random.uniform(tuple(input.shape), place, self._counts[place])
        self._counts[place] += 1
        kept = drawn.reshape(input.shape).to(input.device) >= p
        return torch.where(kept, input / (1.0 - p), torch.zeros((), dtype=input.dtype, device=input.device))
