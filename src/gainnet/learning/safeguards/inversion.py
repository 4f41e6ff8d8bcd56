"""Reading text off updates: what an edge, or whoever sees an update, learns of the rows that made it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from gainnet.core.errors import ModelError
from gainnet.learning.split.anatomy import anatomy_of

RANK_TOLERANCE = 1e-6
"""Singular values below this share of the largest are rounding."""
NEAR = 1e-3
"""Distances from a span below this are rounding."""


@final
@dataclass(frozen=True)
class ValueMap:
    """The map of a block that makes values of attention: each token before the last has a slope of its own in it.

    Args:
        name: of its weight among the model's parameters.
        module: the map.
    """

    name: str
    module: nn.Module


def value_maps(model: Any) -> tuple[ValueMap, ValueMap]:
    """Those of the first two blocks of a causal model without positions in its embedding.

    Raises:
        ModelError: the blocks have no such map, or there is one block alone.
    """
    blocks = anatomy_of(model).stacks[0].blocks[:2]
    found = [
        ValueMap(f"{name}.weight", module)
        for name, module in model.named_modules()
        if name.endswith("v_proj") and any(name.startswith(f"{block}.") for block in blocks)
    ]
    if len(found) != 2:
        raise ModelError("model: gradient inversion reads models of the Llama family with two blocks or more; give one")
    return found[0], found[1]


@torch.no_grad()
def read_row(model: Any, slopes: Mapping[str, Tensor], length: int) -> Tensor:
    r"""[length], the tokens of one row, as the gradient of all weights after it tells them.

    $\nabla W = \sum_t \delta_t x_t^T$: inputs $x_t$ of a map span the rows of its gradient. Those of the first block
    depend on their token alone, so that tokens outside the span are not in the row; those of the second depend on all
    tokens so far, so that the row is found word by word (DAGER, Petrov et al. 2024), here with the model's own
    expectation beside. The last token has no gradient, and is a guess.

    Args:
        model: as it was before the step.
        slopes: gradients by the name of the parameter, or anything proportional, such as an update by one step.
        length: of the row; at most the width of the model.
    """
    first, second = value_maps(model)
    tokens, row = torch.arange(model.config.vocab_size)[:, None], torch.empty(0, dtype=torch.long)
    alone = _distances(_inputs(model, first, tokens)[:, 0], _span(slopes[first.name], length))
    span = _span(slopes[second.name], length)
    for place in range(length):
        tried = torch.cat([row.expand(len(tokens), -1), tokens], dim=1)
        after = _distances(_inputs(model, second, tried)[:, -1], span)
        far = (alone + NEAR).log() + (after + NEAR).log()
        if place:
            # Words that a trained model expects have hardly any gradient; but they are the ones that it expects.
            far -= model(input_ids=row[None]).logits[0, -1].double().log_softmax(-1)
        row = tried[far.argmin()]
    return row


def members_among(update: Tensor, gradients: Tensor) -> Tensor:
    r"""[num_rows] float64, how much of each row's gradient is in an update: large for rows that were trained on.

    The least squares $\min_w \lVert u - \sum_i w_i g_i \rVert$, with a ridge of a millionth for rows that are alike.

    Args:
        update: [num_values], against the gradient.
        gradients: [num_rows, num_values], of rows that may be among them.

    >>> members_among(torch.tensor([0.0, -2.0, 0.0]), torch.eye(3)).round().tolist()
    [0.0, 2.0, 0.0]
    """
    rows = gradients.double()
    gram = rows @ rows.T
    ridge = 1e-6 * gram.diagonal().mean() * torch.eye(len(rows), dtype=torch.float64)
    found: Tensor = torch.linalg.solve(gram + ridge, rows @ -update.double())
    return found


def pairs_in_order(members: Tensor, others: Tensor) -> float:
    """Share of pairs of a member and another row of which the member has the larger score, ties half: 0.5 is a guess.

    Args:
        members: [num_members], scores.
        others: [num_others], scores.

    >>> pairs_in_order(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 0.0]))
    0.875
    """
    gap = members[:, None] - others[None]
    return float(((gap > 0).double() + 0.5 * (gap == 0).double()).mean())


def _span(slope: Tensor, length: int) -> Tensor:
    """[fewer than length, inputs], orthonormal rows: the last token has no slope."""
    values: Tensor
    rows: Tensor
    _, values, rows = torch.linalg.svd(slope.double(), full_matrices=False)
    return rows[: min(length - 1, int((values > RANK_TOLERANCE * values[0]).sum()))]


def _distances(inputs: Tensor, span: Tensor) -> Tensor:
    """[num_inputs], of each input from a span, over its own norm."""
    x = inputs.double()
    # The padding token has an embedding of zero, which is in every span and says nothing.
    return torch.where(x.any(dim=1), (x - x @ span.T @ span).norm(dim=1) / x.norm(dim=1).clamp_min(1e-30), 1.0)


def _inputs(model: Any, of: ValueMap, rows: Tensor) -> Tensor:
    """[num_rows, length, width], what a map is given for rows of tokens."""
    with _listening(of.module) as heard:
        model(input_ids=rows, use_cache=False)
    return heard[0]


@contextmanager
def _listening(module: nn.Module) -> Iterator[list[Tensor]]:
    heard: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, given: heard.append(given[0].detach()))
    try:
        yield heard
    finally:
        handle.remove()
