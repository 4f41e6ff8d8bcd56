"""The residual between a finished latent and a draft, as it is sent and as it is added again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.rate_matched import RateMatched
from gainnet.core.randomness import Random
from gainnet.core.types import Place, Spec, Tensors
from gainnet.models.counting import flatten_batch
from gainnet.models.drafts import digests
from gainnet.models.part import TensorMap
from gainnet.network.scenario import DEVICE

CORRECTION = "correction"
"""Name of the tensor that is sent: [num_values + 1], the residual and, last, the digest of the sender's draft."""
DIFFERS = "draft_differs"
"""Name of the tensor at the receiver that says whether its own draft is another: [1], 1 or 0."""


@runtime_checkable
class KnowsDraft(Protocol):
    """A codec of corrections with a transform that knows the draft."""

    @property
    def transform_flops(self) -> tuple[float, float]:
        """Floating-point operations of `residual` and of `corrected` per item."""

    def residual(self, latent: Tensor, draft: Tensor) -> Tensor:
        """[n, num_values], values to send of latents and drafts [n, num_values]."""

    def corrected(self, draft: Tensor, values: Tensor) -> Tensor:
        """[n, num_values], latents of drafts and received values [n, num_values]."""


def residual(latent: Spec, codec: AnyCodec) -> TensorMap:
    """The part that makes a correction: what the draft lacks, and a digest by which the receiver compares its own.

    latent, draft [*batch, c, h, w] --> correction [*batch, c h w + 1]

    Args:
        latent: shape of the latent.
        codec: that carries the correction; its transform is used where it has one.
    """
    transform = _transform(codec)

    @torch.no_grad()
    def made(tensors: Tensors, random: Random) -> Tensors:
        finished, draft = (flatten_batch(tensors[name], len(random.batch)).flatten(1) for name in ("latent", "draft"))
        values = transform.residual(finished, draft) if transform else finished - draft
        joined = torch.cat([values, digests(draft)[:, None].to(values)], 1)
        return {CORRECTION: joined.reshape(*random.batch, -1)}

    writes = {CORRECTION: Spec((latent.num_values + 1,))}
    return TensorMap("residual", ("latent", "draft"), writes, made, flops=_flops(transform, 0))


def corrected(latent: Spec, codec: AnyCodec) -> TensorMap:
    """The part that adds a correction to the receiver's own draft, and says whether the two drafts differ.

    draft [*batch, c, h, w], correction [*batch, c h w + 1] --> latent [*batch, c, h, w], draft_differs [*batch, 1]

    A correction that did not arrive is zero and has no digest: the draft goes on alone.

    Args:
        latent: shape of the latent.
        codec: as of `residual`.
    """
    transform = _transform(codec)

    @torch.no_grad()
    def added(tensors: Tensors, random: Random) -> Tensors:
        draft, sent = (flatten_batch(tensors[name], len(random.batch)).flatten(1) for name in ("draft", CORRECTION))
        values, digest = sent[:, :-1], sent[:, -1].round().long().cpu()
        made = transform.corrected(draft, values) if transform else draft + values
        differs = (digest > 0) & (digest != digests(draft))
        return {
            "latent": made.reshape(*random.batch, *latent.shape),
            DIFFERS: differs.float().reshape(*random.batch, 1),
        }

    writes = {"latent": latent, DIFFERS: Spec((1,))}
    return TensorMap("corrected", ("draft", CORRECTION), writes, added, flops=_flops(transform, 1))


def drafts_that_differ(at: Mapping[Place, Tensor]) -> int | None:
    """Items whose draft on the device is another than on the edge; `None` where none was compared.

    Args:
        at: tensors by place, [*batch, ...] each, after a plan has run.
    """
    found = at.get((DEVICE, DIFFERS))
    return None if found is None else int(found.sum())


def _transform(codec: AnyCodec) -> KnowsDraft | None:
    # One transform serves all budgets, since the receiver does not know the sender's.
    reader = codec.reader if isinstance(codec, RateMatched) else codec
    return reader if isinstance(reader, KnowsDraft) else None


def _flops(transform: KnowsDraft | None, end: int) -> float:
    return transform.transform_flops[end] if transform else 0.0
