"""Resources of a client in one communication round: spectrum, computing and time, open to everything it does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, final

from torch import Tensor

from gainnet.core.errors import ConfigError, check_range

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")


def each(record: R, change: Callable[[Tensor], Tensor]) -> R:
    """The record with every tensor changed, those of records inside of it, too.

    The change selects, reshapes or masks: the values are those that were checked when the record was made.

    >>> import torch
    >>> one = torch.ones(3)
    >>> each(Pool(one, one, one), lambda x: x[:2]).cycles
    tensor([1., 1.])
    """
    # Without __init__, which would look at every value again: a view costs less than that look.
    changed = object.__new__(type(record))
    for name in record.__dataclass_fields__:
        x = getattr(record, name)
        object.__setattr__(changed, name, change(x) if isinstance(x, Tensor) else each(x, change))
    return changed


def unsqueeze(record: R) -> R:
    """A record of tensors [..., 1] from one of tensors [...]; it broadcasts over the models."""
    return each(record, lambda x: x.unsqueeze(-1))


def squeeze(record: R) -> R:
    """A record of tensors [...] from one of tensors [..., 1]."""
    return each(record, lambda x: x.squeeze(-1))


def of_model(record: R, index: Tensor) -> R:
    """A record of tensors [..., num_chosen] from one of [..., num_models], by `index` int64 [..., num_chosen]."""
    return each(record, lambda x: x.gather(-1, index))


@final
@dataclass(frozen=True)
class Pool:
    """The universal resource pool of a client in one communication round (CR).

    Sensing, communication and computing draw on it alike: $B T$ of spectrum area, $F T$ cycles
    (GainNet, section III-B; the constants of a matrix of cells, see `Grid`).

    Args:
        bandwidth_hz: [...], bandwidth $B$ > 0.
        cycles_per_s: [...], compute rate $F$ > 0.
        duration_s: [...], duration $T$ of the CR > 0.

    Raises:
        ConfigError: a field is not positive and finite.

    >>> import torch
    >>> pool = Pool(torch.tensor(10e6), torch.tensor(2e9), torch.tensor(9.0))
    >>> float(pool.spectrum_hz_s), float(pool.cycles)
    (90000000.0, 17999998976.0)
    >>> Pool(torch.tensor(0.0), torch.tensor(2e9), torch.tensor(9.0))
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: pool.bandwidth_hz: 0.0 is not a positive number; give one > 0
    """

    bandwidth_hz: Tensor
    cycles_per_s: Tensor
    duration_s: Tensor

    def __post_init__(self) -> None:
        for name in ("bandwidth_hz", "cycles_per_s", "duration_s"):
            check_positive(f"pool.{name}", getattr(self, name))

    @property
    def spectrum_hz_s(self) -> Tensor:
        """[...], spectrum area $B T$ in Hz s."""
        return self.bandwidth_hz * self.duration_s

    @property
    def cycles(self) -> Tensor:
        """[...], cycles $F T$."""
        return self.cycles_per_s * self.duration_s


@final
@dataclass(frozen=True)
class Grid:
    """How finely a pool is cut into cells when it is written as two matrices.

    Args:
        num_slots: columns, slots of time, >= 1.
        num_rows: rows, shares of the bandwidth or of the compute rate, >= 1.

    Raises:
        ConfigError: a count is not positive.

    >>> import torch
    >>> pool = Pool(torch.tensor([2.0]), torch.tensor([8.0]), torch.tensor([4.0]))
    >>> Grid(num_slots=4, num_rows=2).time_frequency(pool)
    tensor([[[1., 1., 1., 1.],
             [1., 1., 1., 1.]]])
    """

    num_slots: int
    num_rows: int

    def __post_init__(self) -> None:
        is_grid = min(self.num_slots, self.num_rows) >= 1
        check_range(is_grid, "grid", f"{self.num_rows} x {self.num_slots}", "at least 1 x 1")

    def time_frequency(self, pool: Pool) -> Tensor:
        """[..., num_rows, num_slots], spectrum area of each cell in Hz s."""
        return self._cells(pool.spectrum_hz_s)

    def time_computing(self, pool: Pool) -> Tensor:
        """[..., num_rows, num_slots], cycles of each cell."""
        return self._cells(pool.cycles)

    def _cells(self, total: Tensor) -> Tensor:
        cell = total / (self.num_slots * self.num_rows)
        return cell[..., None, None].expand(*total.shape, self.num_rows, self.num_slots)


def check_positive(field: str, x: Tensor) -> None:
    """Raises `ConfigError` unless every value of `x` [...] is positive and finite.

    >>> import torch
    >>> check_positive("pool.bandwidth_hz", torch.tensor([1.0, 0.0]))
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: pool.bandwidth_hz: 0.0 is not a positive number; give one > 0
    """
    least, most = _limits(x)
    if not 0 < least <= most < math.inf:
        wrong = ~((x > 0) & x.isfinite())
        raise ConfigError(f"{field}: {x[wrong].flatten()[0].item()} is not a positive number; give one > 0")


def check_not_negative(field: str, x: Tensor) -> None:
    """Raises `ConfigError` unless every value of `x` [...] is finite and at least 0."""
    least, most = _limits(x)
    if not 0 <= least <= most < math.inf:
        wrong = ~((x >= 0) & x.isfinite())
        raise ConfigError(f"{field}: {x[wrong].flatten()[0].item()} is negative or not finite; give one >= 0")


def _limits(x: Tensor) -> tuple[float, float]:
    """Smallest and largest value, both NaN if any is: one pass instead of the five of comparisons and their `any`."""
    if x.numel() == 0:
        return 1.0, 1.0
    least, most = x.aminmax()
    return float(least), float(most)
