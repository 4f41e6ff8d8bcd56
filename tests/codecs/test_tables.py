"""Frequency tables against SciPy's laws, and frozen, because a changed table breaks every stream."""

import zlib
from typing import Any

import numpy as np
import pytest
from scipy import stats

from gainnet.codecs.entropy import TOTAL, RunReader
from gainnet.codecs.tables import (
    LARGEST_VALUE,
    Shape,
    encode_values,
    exp,
    gaussian_mass,
    scale_class,
    take_values,
    value_model,
)

LAWS: dict[Shape, Any] = {"gaussian": stats.norm(), "laplace": stats.laplace(scale=np.sqrt(0.5))}


def test_exponential_and_gaussian_mass_agree_with_numpy_and_scipy() -> None:
    x = np.linspace(-700, 0, 2001)
    np.testing.assert_allclose(exp(x), np.exp(x), rtol=2e-13)
    z = np.linspace(0, 16, 1001)
    np.testing.assert_allclose(gaussian_mass(z), stats.norm.cdf(z) - 0.5, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", ["gaussian", "laplace"])
@pytest.mark.parametrize("ratio_class", [-16, 0, 9, 24])
@pytest.mark.parametrize("threshold", [0.5, 0.6])
def test_a_table_costs_next_to_nothing_over_its_law(shape: Shape, ratio_class: int, threshold: float) -> None:
    model, law = value_model(shape, ratio_class, threshold), LAWS[shape]
    edges = (np.arange(model.reach + 1) + threshold) / 2 ** (ratio_class / 8)
    side = law.sf(edges[:-1]) - law.sf(edges[1:])
    probabilities = np.array([*side[::-1], 1 - 2 * law.sf(edges[0]), *side])
    shares = np.array(model.model.frequencies[:-1]) / TOTAL
    assert (probabilities * np.log2(probabilities / shares)).sum() < 2e-4


def test_tables_never_change() -> None:
    tables = [value_model(shape, k, 0.6).model.frequencies for shape in LAWS for k in (-32, -5, 0, 7, 40)]
    assert zlib.crc32(repr(tables).encode()) == 1425154200


@pytest.mark.parametrize("exponent", range(-40, 41, 5))
def test_scale_class_is_the_nearest_eighth_of_an_octave(exponent: int) -> None:
    for offset in (-0.49, 0.0, 0.49):
        assert scale_class(2 ** ((exponent + offset) / 8)) == exponent


def test_values_beyond_the_table_come_back() -> None:
    model = value_model("laplace", 0)
    values = np.array([0, model.reach, -model.reach - 1, 70_000, -LARGEST_VALUE, LARGEST_VALUE, 1], dtype=np.int32)
    groups = [(values[:3], model), (values[3:], model)]
    back = take_values(RunReader(encode_values(groups)), [(3, model), (4, model)])
    assert np.concatenate(back).tolist() == values.tolist()
