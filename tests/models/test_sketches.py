"""A sketch is what one can compute by hand."""

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec
from gainnet.models.sketches import edge_sketch, enlarge, picture_sketch, shrink
from gainnet.testing import check_part

RANDOM = Random.of([1, 2])
IMAGE = Spec((3, 32, 48))


def test_sketchers_keep_the_contract_of_parts():
    tensors = {"image": RANDOM.uniform(IMAGE.shape, "image")}
    check_part(picture_sketch(IMAGE), tensors, RANDOM)
    check_part(edge_sketch(IMAGE), tensors, RANDOM)


def test_a_small_picture_is_the_mean_over_squares():
    image = RANDOM.uniform(IMAGE.shape, "image")
    sketch = picture_sketch(IMAGE)({"image": image}, RANDOM)["sketch"]
    torch.testing.assert_close(sketch[1, 2, 1, 3], image[1, 2, 8:16, 24:32].mean())


def test_edges_are_around_a_square():
    image = torch.zeros(3, 32, 48)
    image[1, 8:16, 16:32] = 1.0
    edges = edge_sketch(IMAGE)({"image": image}, Random.of(0))["sketch"][0]
    assert float(edges.sum()) == 2 * 4 + 2 * 8 - 1, "the corner below right differs to the right and below"
    assert float(edges[3, 8:16].sum()) == float(edges[7, 8:16].sum()) == 8.0


def test_enlarging_keeps_what_is_flat():
    flat = torch.full((2, 3, 4, 4), 0.3)
    torch.testing.assert_close(enlarge(flat, 8), torch.full((2, 3, 32, 32), 0.3))
    torch.testing.assert_close(shrink(enlarge(flat, 8), 8), flat)


def test_a_factor_that_does_not_divide_is_named():
    with pytest.raises(ConfigError, match="factor"):
        picture_sketch(IMAGE, factor=7)
