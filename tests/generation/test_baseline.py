"""The opponent is only said to reach what its link delivers."""

from __future__ import annotations

import pytest

from gainnet.core.randomness import Random
from gainnet.generation.baseline import best_image_codec
from gainnet.generation.cell import downlink, network_over
from gainnet.radio import Air


@pytest.mark.slow
@pytest.mark.parametrize(("snr_db", "carries"), [pytest.param(-60.0, False, marks=pytest.mark.slow), (0.0, True)])
def test_uses_for_a_quality_are_those_of_codewords_that_come(snr_db: float, carries: bool) -> None:
    link = downlink(network_over(Air(snr_db=snr_db)))
    random = Random.of([1])
    found = best_image_codec(link, random.uniform((3, 32, 32), "picture"), 64, 8.0, random)
    assert found is not None
    assert (found.num_channel_uses_equal_psnr is not None) == carries
