"""What an edge counts is what orchestration plans for."""

from __future__ import annotations

import pytest

from gainnet.core.errors import ConfigError
from gainnet.service.measured import measured, measured_of

PAGE = """\
# TYPE gainnet_requests_total counter
gainnet_requests_total{outcome="done"} 41.0
gainnet_requests_total{outcome="failed"} 3.0
# TYPE gainnet_requests_created gauge
gainnet_requests_created{outcome="done"} 1000.0
gainnet_requests_created{outcome="failed"} 1010.0
# TYPE gainnet_busy_seconds_total counter
gainnet_busy_seconds_total{network="denoiser"} 80.0
gainnet_busy_seconds_total{network="decoder"} 2.0
# TYPE gainnet_channel_uses_total counter
gainnet_channel_uses_total{way="up"} 100.0
gainnet_channel_uses_total{way="down"} 20992.0
"""


def test_a_page_of_metrics_is_a_demand() -> None:
    found = measured_of(PAGE, 1020.0)
    assert found.requests_per_s == pytest.approx(2.0)
    assert found.busy_s == pytest.approx(2.0)
    assert found.spectrum_hz_s == pytest.approx(512.0)
    assert measured_of(PAGE.replace("20992.0", "0.0"), 1020.0).spectrum_hz_s is None


@pytest.mark.parametrize("page", ["", "gainnet_requests_total{outcome", PAGE.replace("41.0", "0.0")])
def test_a_page_that_tells_nothing_is_refused_in_one_line(page: str) -> None:
    with pytest.raises(ConfigError, match="edge: ") as error:
        measured_of(page, 1020.0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("url", ["ftp://there", "http://127.0.0.1:9"])
def test_an_edge_that_is_not_there_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match="edge: "):
        measured(url)
