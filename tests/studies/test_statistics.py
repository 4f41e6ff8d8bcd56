import math

import numpy as np
import pytest
from scipy import stats

from gainnet.studies.statistics import spread


@pytest.mark.parametrize("num", [2, 3, 10])
def test_interval_is_scipys(num: int) -> None:
    values = np.random.default_rng(num).normal(5.0, 2.0, num)
    found = spread(list(values))
    assert found.interval is not None
    assert found.std == pytest.approx(np.std(values, ddof=1))
    expected = stats.t.interval(0.95, num - 1, loc=values.mean(), scale=stats.sem(values))
    assert found.interval == pytest.approx(expected)


def test_interval_covers_the_mean_in_95_percent_of_experiments() -> None:
    draws = np.random.default_rng(0).normal(1.0, 3.0, (2000, 4))
    intervals = [spread(list(row)).interval for row in draws]
    covered = sum(low < 1.0 < high for low, high in (i for i in intervals if i is not None))
    assert abs(covered / 2000 - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 2000)


def test_one_random_seed_has_no_interval() -> None:
    assert spread([2.5]).interval is None
    assert spread([2.5]).mean == 2.5


def test_no_values_raise() -> None:
    with pytest.raises(ValueError, match="no values"):
        spread([])
