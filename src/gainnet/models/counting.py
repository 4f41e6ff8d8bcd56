"""The costs of a network: operations and bytes, counted on copies without weights."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


def count_flops(run: Callable[[], Any]) -> float:
    """Floating-point operations of a call, as torch's FlopCounterMode counts them (a multiply-add counts two).

    Fused attention is taken apart first, because the counter does not know torch's fused kernel for CPUs.

    >>> count_flops(lambda: torch.ones(2, 3) @ torch.ones(3, 4))
    48.0
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    # The counter works on dispatched operations, so tensors on the meta device are enough.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        run()
    return float(counter.get_total_flops())


def on_meta(build: Callable[[], Any]) -> Any:
    """A copy without weights: shapes only, so that counting costs nothing."""
    with torch.device("meta"):
        return build()


def meta_copy(model: Any) -> Any:
    """A copy without weights of a model of diffusers, from its configuration."""
    network = opened_of(model)
    return on_meta(lambda: type(network).from_config(network.config))


def opened_of(network: Any) -> Any:
    """The network itself, where an object stands for it until it is needed; see `load_late`."""
    return getattr(network, "opened", network)


def parameter_bytes(module: Any) -> float:
    """Bytes of a module's parameters; 0 for `None`."""
    return float(sum(p.numel() * p.element_size() for p in module.parameters())) if module is not None else 0.0


def frozen_bytes(module: Any) -> float:
    """`parameter_bytes` of a module whose parameters stay the same, counted once: a plan asks at every step."""
    return _bytes_of(weakref.ref(module))


# By a weak reference, which compares as the module does and does not keep it.
@lru_cache(maxsize=64)
def _bytes_of(module: weakref.ref[Any]) -> float:
    return parameter_bytes(module())


def flatten_batch(x: Tensor, rank: int) -> Tensor:
    """[n, ...] of [*batch, ...] with `rank` batch dimensions."""
    return x.reshape(math.prod(x.shape[:rank]), *x.shape[rank:])
