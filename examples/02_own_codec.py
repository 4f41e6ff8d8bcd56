"""A seed codec of one's own: the sign of every latent entry, one bit each.

The sign of a Gaussian of unit variance is best decoded as +-sqrt(2 / pi), with a mean squared error of 1 - 2 / pi
(Max 1960). From the command line: `gainnet generate ... --codec seed=my_module:Signs`.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

import gainnet
from gainnet import Air, Codecs, RawAnalog
from gainnet.core.errors import PayloadError
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Payload, Size, Spec
from gainnet.testing import check_codec


@final
@dataclass(frozen=True)
class Signs:
    """tensor --sign--> one bit per value --packed--> bytes; what did not arrive becomes zeros."""

    emits: ClassVar[type[Payload]] = Bits

    def size(self, spec: Spec) -> Size:
        return Size.fixed(8 * -(-spec.num_values // 8))

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        signs = (x.reshape(reported_snr.numel(), -1) > 0).numpy()
        return Bits(tuple(row.tobytes() for row in np.packbits(signs, axis=1)), tuple(reported_snr.shape))

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        rows = [self._values(string, spec) for string in payload.strings]
        return torch.stack(rows).reshape(*payload.batch, *spec.shape)

    def _values(self, string: bytes | None, spec: Spec) -> Tensor:
        if string is None:
            return torch.zeros(spec.num_values)
        if 8 * len(string) != self.size(spec).upper:
            raise PayloadError(f"signs: payload of {len(string)} bytes is not one bit per value")
        signs = np.unpackbits(np.frombuffer(string, dtype=np.uint8), count=spec.num_values)
        return math.sqrt(2 / math.pi) * (2.0 * torch.from_numpy(signs).float() - 1.0)


gaussian = Random.of(range(8)).normal((4, 16, 16), "latents")
check_codec(Signs(), gaussian)
error = Signs().decode(Signs().encode(gaussian, torch.ones(8)), Spec((4, 16, 16))) - gaussian
print("Signs keeps the contract of codecs")
print(f"mean squared error on Gaussians: {error.square().mean():.4f}, in theory {1 - 2 / math.pi:.4f}")

model = gainnet.load("scenes")
for codec in (Signs(), RawAnalog()):
    result = gainnet.generate("a yellow star", model, codecs=Codecs(seed=codec), air=Air(snr_db=10.0))
    uses = result.report.num_channel_uses("down")
    print(f"{type(codec).__name__:>9}: {result.quality.psnr_db:.2f} dB in {uses:.0f} channel uses")
