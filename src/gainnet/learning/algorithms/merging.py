"""Many sets of adapters into one: by factors, by product, by sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, check_range
from gainnet.core.randomness import Random
from gainnet.learning.algorithms.algorithm import Arrived, Merged, State, average, names_of

FIRST, SECOND = ".lora_A.weight", ".lora_B.weight"


def updates_of(state: State) -> dict[str, Tensor]:
    """[outputs, inputs] float64, the update B A of every map that LoRA trains: A [rank, inputs], B [outputs, rank].

    Raises:
        ConfigError: factors of experts are among them, each of which has a product of its own.
    """
    if experts := [name for name in state if ".experts." in name]:
        raise ConfigError(f"merging: {experts[0]} is of several experts; choose factors or frozen, and one rank")
    names = [name.removesuffix(FIRST) for name in state if name.endswith(FIRST)]
    return {name: state[name + SECOND].double() @ state[name + FIRST].double() for name in names}


def low_rank(updates: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    r"""LoRA tensors whose products are nearest to the updates.

    $W = U S V^T,\; B = U_r S_r^{1/2},\; A = S_r^{1/2} V_r^T$   (Eckart and Young 1936)

    Args:
        updates: [outputs, inputs] by name.
        rank: of the factors; singular values beyond the size of an update are zero.

    >>> from_product = low_rank({"x": torch.ones(2, 3, dtype=torch.float64)}, 1)
    >>> torch.allclose(updates_of(from_product)["x"], torch.ones(2, 3, dtype=torch.float64))
    True
    """
    factors: dict[str, Tensor] = {}
    for name, update in updates.items():
        u, s, v = torch.linalg.svd(update, full_matrices=False)
        count = min(rank, len(s))
        # Half of every singular value on each factor: both train at a similar scale afterwards.
        root = s[:count].sqrt()
        a, b = torch.zeros(rank, update.shape[1]), torch.zeros(update.shape[0], rank)
        a[:count], b[:, :count] = (root[:, None] * v[:count]).float(), (u[:, :count] * root).float()
        factors |= {name + FIRST: a, name + SECOND: b}
    return factors


def merge_products(states: Sequence[State], weights: Sequence[float], rank: int) -> dict[str, Tensor]:
    r"""LoRA of any ranks: the weighted mean of the products, cut to a rank by its singular values.

    $\sum_i w_i B_i A_i$, exact before the cut; averaging A and B apart is not, and needs equal ranks (Bai et al. 2024).

    Args:
        states: LoRA tensors.
        weights: one per state.
        rank: of the result.

    >>> one = low_rank({"w": torch.eye(2, dtype=torch.float64)}, 2)
    >>> two = low_rank({"w": 3 * torch.eye(2, dtype=torch.float64)}, 2)
    >>> merged = merge_products([one, two], [1.0, 1.0], rank=2)
    >>> updates_of(merged)["w"].round(decimals=3)
    tensor([[2., 0.],
            [0., 2.]], dtype=torch.float64)
    >>> naive = {name: (one[name] + two[name]) / 2 for name in one}  # factors by themselves
    >>> updates_of(naive)["w"].diagonal().round(decimals=3)
    tensor([1.8660, 1.8660], dtype=torch.float64)
    """
    return low_rank(average([updates_of(state) for state in states], weights), rank)


@final
@dataclass(frozen=True)
class ProductMean:
    """The weighted mean of LoRA of any ranks; see `merge_products`.

    Args:
        rank: of the result.
    """

    rank: int

    def __call__(self, start: State, arrived: Arrived, random: Random) -> Merged:
        """As `Rule`."""
        if not arrived:
            return Merged(start)
        states, weights = [values for _, values in arrived], [client.weight for client, _ in arrived]
        return Merged(merge_products(states, weights, self.rank), names_of(arrived))


@final
@dataclass(frozen=True)
class StackedMean:
    r"""The weighted mean of LoRA of any ranks on top of what there was, exactly: factors side by side.

    $\sum_i w_i B_i A_i = [w_1 B_1 \,\cdots\, w_n B_n]\,[A_1; \ldots; A_n]$   (FLoRA, Wang et al. 2024)

    A stack as wide as the maps are full is brought back to that by their singular values, which loses nothing.
    """

    def __call__(self, start: State, arrived: Arrived, random: Random) -> Merged:
        """As `Rule`; updates come on top of the start."""
        if not arrived:
            return Merged(start)
        total = sum(client.weight for client, _ in arrived)
        parts = [(1.0, start), *((client.weight / total, values) for client, values in arrived)]
        # Factors of a product of zero, as at the start of everything, would be carried along for ever.
        parts = [(w, x) for w, x in parts if any(bool(b.any()) for name, b in x.items() if name.endswith(SECOND))]
        if not parts:
            return Merged(start, names_of(arrived))
        weighted = [{name: x * (w if name.endswith(SECOND) else 1.0) for name, x in some.items()} for w, some in parts]
        stacked = {name: torch.cat([some[name] for some in weighted], int(name.endswith(SECOND))) for name in start}
        full = max(min(update.shape) for update in updates_of(start).values())
        rank = next(len(x) for name, x in stacked.items() if name.endswith(FIRST))
        return Merged(stacked if rank <= full else low_rank(updates_of(stacked), full), names_of(arrived))


def distance_from_mean(state: State, states: Sequence[State], weights: Sequence[float]) -> float:
    """Norm of the difference between a state's products and the mean of the products of others, over that of the mean.

    Args:
        state: LoRA tensors, of any rank.
        states: LoRA tensors that were merged.
        weights: one per state.

    >>> one = {"x" + FIRST: torch.ones(1, 2), "x" + SECOND: torch.ones(2, 1)}
    >>> distance_from_mean(one, [one, one], [1, 3])
    0.0
    """
    exact, found = average([updates_of(each) for each in states], weights), updates_of(state)
    gap = sum(float((found[name] - update).square().sum()) for name, update in exact.items())
    return float((gap / sum(float(update.square().sum()) for update in exact.values())) ** 0.5)


def merge_by_sign(
    states: Sequence[State], weights: Sequence[float], rank: int, density: float = 0.5
) -> dict[str, Tensor]:
    """LoRA by TIES: trim each update to its largest entries, elect a sign per entry, average those that agree.

    (Yadav et al. 2023, algorithm 1, on the products B A)

    Args:
        states: LoRA tensors.
        weights: one per state.
        rank: of the result.
        density: share of the entries that is kept, in (0, 1].

    Raises:
        ConfigError: the density is out of range.
    """
    updates = [updates_of(state) for state in states]
    merged = {name: ties([u[name] for u in updates], weights, density) for name in updates[0]}
    return low_rank(merged, rank)


def ties(updates: Sequence[Tensor], weights: Sequence[float], density: float) -> Tensor:
    """The TIES merge of tensors of one shape; see `merge_by_sign`.

    >>> ties([torch.tensor([2.0, -1.0]), torch.tensor([4.0, 3.0])], [1, 1], 1.0)
    tensor([3., 3.])
    """
    check_range(0.0 < density <= 1.0, "density", density, "in (0, 1], the share of entries that TIES keeps")
    trimmed = torch.stack([_trimmed(update, density) for update in updates])
    weight = torch.tensor(list(weights), dtype=trimmed.dtype).reshape(-1, *[1] * (trimmed.dim() - 1))
    elected = (weight * trimmed).sum(0).sign()
    # Entries that pull against the elected sign are left out rather than averaged away.
    agrees = (trimmed.sign() == elected) & (trimmed != 0)
    return (weight * trimmed * agrees).sum(0) / (weight * agrees).sum(0).clamp_min(1e-30)


def _trimmed(update: Tensor, density: float) -> Tensor:
    count = max(1, round(density * update.numel()))
    # Magnitude of the smallest entry that is kept; ties are all kept.
    least = update.abs().flatten().topk(count).values[-1]
    return torch.where(update.abs() >= least, update, 0.0)
