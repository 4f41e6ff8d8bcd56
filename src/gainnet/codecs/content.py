"""The content that a codec is bound to: tensors of one kind, and how much of them their link carries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, SupportsIndex, TypeVar, final

from gainnet.core.errors import ConfigError, check_kind, check_range
from gainnet.core.types import Spec

Kind = Literal["prompt", "seed", "midway", "sketch", "image", "correction"]
"""Kinds of tensors on the air: a prompt, a finished latent, a latent between two steps, a sketch, a picture, and what a
draft lacks of a finished latent."""

MAX_CHANNEL_USES: Final = 10_000_000
"""Most complex symbols of one item: above it, tables of powers no longer fit the memory of a laptop. Assumed."""

T = TypeVar("T")


@final
@dataclass(frozen=True)
class Content:
    r"""Tensors of one kind, and what both ends know of them and of the link that carries them.

    A codec object holds what its user decided; `codec.bound(content)` fills in the rest from here.

    Args:
        spec: shape of one item.
        kind: which of the tensors of a protocol it is.
        model: name or folder of the model that makes the tensors, under which bases and weights are found; `None` when
            nothing but the shape is known.
        model_sha256: digest of the model that bases and weights must fit; `None` accepts any.
        prompts: one per item, known to both ends.
        signal: $\alpha$ of a latent between two steps, which is $\alpha$ times a finished latent plus white noise.
        noise: $\sigma$, standard deviation of that noise; 0 for all other tensors.
        num_channel_uses: complex channel uses of one item; the codec's own choice when `None`.
        capacity_bits: bits that these uses carry at a linear SNR; `None` when `num_channel_uses` is.
        snrs: equally likely linear SNRs of the link.
        mean_snr: mean linear SNR; `inf` for a link without errors.
        draft: name of the draft that a correction is of, such as `coarse-5`, under which its weights are found.
        is_resumed: whether the receiver can resume the sampler at the noise level at which a latent arrives.

    >>> content = Content(Spec((4, 16, 16)), model="scenes", num_channel_uses=256)
    >>> content.kind, content.spec.num_values
    ('seed', 1024)
    """

    spec: Spec
    kind: Kind = "seed"
    model: str | None = None
    model_sha256: str | None = None
    prompts: tuple[str, ...] = ()
    signal: float = 1.0
    noise: float = 0.0
    num_channel_uses: int | None = None
    capacity_bits: Callable[[float], float] | None = None
    snrs: tuple[float, ...] = (1.0,)
    mean_snr: float = math.inf
    draft: str = ""
    is_resumed: bool = False

    def check_shipped(self, num_values: int, codec: str, field: str) -> None:
        """Raises `ConfigError` when the content names no model and the shipped one makes latents of another size."""
        if self.model is None and self.spec.num_values != num_values:
            raise ConfigError(
                f"codec: {codec} needs {field}=... for {self.spec.num_values} values; the shipped one has {num_values}"
            )


def check_uses(num_channel_uses: int | None) -> None:
    """Raises `ConfigError` for a number of channel uses outside 1 to `MAX_CHANNEL_USES`; `None` leaves it open."""
    is_whole = num_channel_uses is None or isinstance(num_channel_uses, SupportsIndex)
    check_kind(is_whole, "num_channel_uses", num_channel_uses, "a whole number")
    fits = num_channel_uses is None or 1 <= num_channel_uses <= MAX_CHANNEL_USES
    check_range(fits, "num_channel_uses", num_channel_uses, f"1 to {MAX_CHANNEL_USES:,}")


def required(value: T | None, codec: str, field: str) -> T:
    """A field that `bound` fills in.

    Raises:
        ConfigError: it is `None`, so the codec was never bound.

    >>> required(3, "linear", "num_channel_uses")
    3
    """
    if value is None:
        raise ConfigError(f"codec: {codec} needs {field}=...; give it, or bind the codec to what it carries")
    return value
