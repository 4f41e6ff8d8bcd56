"""Reading text off activations: what an edge that follows the protocol, and is curious, learns from what it is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from gainnet.codecs import AnyCodec
from gainnet.core.errors import ConfigError, check_range
from gainnet.core.randomness import Random
from gainnet.core.types import Spec
from gainnet.learning.split.anatomy import Port, anatomy_of, tap
from gainnet.models.language import mean_loss

View = Callable[[Tensor, Random], Tensor]
"""Hidden states [batch, length, width] as the edge receives them, in the same shape."""


@final
@dataclass(frozen=True)
class Coded:
    """Hidden states after a codec, over an air that loses nothing.

    Args:
        codec: what encodes and decodes them.
    """

    codec: AnyCodec

    def __call__(self, hidden: Tensor, random: Random) -> Tensor:
        """[batch, length, width], as `View`."""
        payload = self.codec.encode(hidden, torch.ones(len(hidden)))
        return self.codec.decode(payload, Spec(tuple(hidden.shape[1:])))


@final
@dataclass(frozen=True)
class Noisy:
    r"""Hidden states with Gaussian noise that the device adds, each token's as large as a share of its own norm.

    $h + \rho \lVert h \rVert / \sqrt{d}\; \mathcal N(0, I)$, then a codec.

    Args:
        ratio: $\rho \ge 0$, standard deviation of the noise over that of the signal.
        codec: what encodes and decodes them.

    Raises:
        ConfigError: the ratio is negative.
    """

    ratio: float
    codec: AnyCodec

    def __post_init__(self) -> None:
        check_range(self.ratio >= 0.0, "noise", self.ratio, "the ratio of noise to signal, 0 or more")

    def __call__(self, hidden: Tensor, random: Random) -> Tensor:
        """[batch, length, width], as `View`."""
        # Relative to each token's own norm, since the norms of a language model differ by orders of magnitude.
        scale = self.ratio * hidden.square().mean(-1, keepdim=True).sqrt()
        return Coded(self.codec)(hidden + scale * random.normal(hidden.shape, "blur"), random)


@torch.no_grad()
def activations_of(model: Any, num_blocks: int, rows: Tensor) -> Tensor:
    """[num_rows, length, width], what a device sends that holds the embeddings and the first blocks of a causal model.

    The cuts with and without the head on the device send the same: the head changes what comes back, and who has the
    labels.

    Args:
        model: of transformers.
        num_blocks: blocks on the device, >= 0.
        rows: [num_rows, length], tokens.

    Raises:
        ConfigError: more blocks than the model has.
    """
    port = _port(model, num_blocks)
    with tap(model, {}, (port,)) as kept:
        model(input_ids=rows, use_cache=False)
    return kept[port]


@torch.no_grad()
def loss_seen_through(model: Any, num_blocks: int, view: View, rows: Tensor, random: Random) -> float:
    """Mean loss in nats per token of a causal model whose edge works on what it receives: what hiding costs.

    Arguments as `activations_of`; `view` is what becomes of the activations.
    """
    port = _port(model, num_blocks)
    received = view(activations_of(model, num_blocks, rows), random)
    with tap(model, {port: received}, ()):
        return mean_loss(model, rows, len(rows))


def look_up(received: Tensor, table: Tensor) -> Tensor:
    """[batch, length], the tokens whose embeddings are nearest to what was received.

    Args:
        received: [batch, length, width].
        table: [num_tokens, width], embeddings as the edge knows them: it hands them out at the start of every round.

    >>> look_up(torch.tensor([[[0.9, 0.1]]]), torch.eye(2)).tolist()
    [[0]]
    """
    return torch.cdist(received, table[None]).argmin(-1)


@final
@dataclass(frozen=True)
class InverterTraining:
    """How an inverter is trained; the edge has public text, and the device's part of the model to run it through.

    Args:
        num_steps: mini-batches >= 1.
        batch_size: rows per mini-batch.
        rate: learning rate.
        width: hidden units.
        reach: tokens to either side that it looks at; language itself gives words away.
    """

    num_steps: int = 120
    batch_size: int = 16
    rate: float = 6e-3
    width: int = 128
    reach: int = 2


def trained_inverter(
    model: Any, num_blocks: int, view: View, public_rows: Tensor, training: InverterTraining, random: Random
) -> nn.Module:
    """A network that reads tokens off activations, [batch, length, width] to [batch, length, num_tokens] logits.

    Noise is drawn anew in every step; arguments as `loss_seen_through`, with text that anybody may read.
    """
    hidden = activations_of(model, num_blocks, public_rows)
    inverter = _Inverter(hidden.shape[-1], model.config.vocab_size, training, random)
    optimizer = AdamW(inverter.parameters(), training.rate)
    for step in range(training.num_steps):
        draws = random.child("inverter", step)
        chosen = torch.from_numpy(draws.generators("rows")[0].integers(len(hidden), size=training.batch_size))
        logits = inverter(view(hidden[chosen], draws))
        nn.functional.cross_entropy(logits.flatten(0, 1), public_rows[chosen].flatten()).backward()
        # A rate that falls to zero: the last steps average the noise of the view out.
        for group in optimizer.param_groups:
            group["lr"] = training.rate * (1 - step / training.num_steps)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return inverter


def share_recovered(found: Tensor, rows: Tensor, ignored: Tensor | None = None) -> float:
    """Share of tokens that were read correctly.

    Args:
        found: [num_rows, length], tokens as read.
        rows: [num_rows, length], tokens as they were.
        ignored: tokens that do not count, such as words that every text has.

    >>> share_recovered(torch.tensor([[1, 2, 3]]), torch.tensor([[1, 2, 4]]), torch.tensor([1]))
    0.5
    """
    counts = torch.ones_like(rows, dtype=torch.bool) if ignored is None else ~torch.isin(rows, ignored)
    return float((found == rows)[counts].double().mean())


@final
class _Inverter(nn.Module):
    """Two layers on a window of activations, each of which is brought to the same size."""

    def __init__(self, width: int, num_tokens: int, training: InverterTraining, random: Random) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            # torch draws first weights from its global generator; forked, nobody else's draws change.
            torch.manual_seed(int(random.generators("weights")[0].integers(1 << 31)))
            self.window = nn.Conv1d(width, training.width, 2 * training.reach + 1, padding=training.reach)
            self.head = nn.Linear(training.width + width, num_tokens)

    def forward(self, received: Tensor) -> Tensor:
        """[batch, length, num_tokens], logits."""
        # The scale of activations grows with depth; what a token is lies in the direction.
        even = nn.functional.rms_norm(received, received.shape[-1:])
        around = nn.functional.gelu(self.window(even.transpose(1, 2)).transpose(1, 2))
        logits: Tensor = self.head(torch.cat([around, even], dim=-1))
        return logits


def _port(model: Any, num_blocks: int) -> Port:
    blocks = anatomy_of(model).stacks[0].blocks
    if not 0 <= num_blocks < len(blocks):
        raise ConfigError(f"cut: {num_blocks} blocks on the device, but the model has {len(blocks)}; leave one")
    return blocks[num_blocks], 0
