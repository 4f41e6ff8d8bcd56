"""Arguments of a generation, before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from gainnet.codecs import Codecs
from gainnet.core.errors import ConfigError
from gainnet.generation.arguments import check_objects
from gainnet.generation.generate import generate
from gainnet.radio import Air, Reports


def test_a_text_in_the_place_of_an_object_names_the_call_that_makes_one() -> None:
    with pytest.raises(ConfigError, match=r"model: .* give gainnet\.load\('scenes'\)"):
        generate("a yellow star", cast("Any", "scenes"))
    with pytest.raises(ConfigError, match=r"codecs: .*gainnet\.parse\('codec\.seed', 'linear'\)"):
        check_objects(None, "linear")
    check_objects(None, Codecs())


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("random_seed", lambda model: generate("a star", model, random_seed=cast("Any", 1.5))),
        ("num_channel_uses", lambda model: generate("a star", model, num_channel_uses=cast("Any", "64"))),
        ("deadline_s", lambda model: generate("a star", model, deadline_s=cast("Any", "1"))),
        ("strength", lambda model: generate("a star", model, strength=cast("Any", "1"))),
        ("prompt", lambda model: generate(cast("Any", 3), model)),
        ("prompt", lambda model: generate(cast("Any", [3]), model)),
        ("snr_db", lambda model: Air(snr_db=cast("Any", "5"))),
        ("bandwidth_hz", lambda model: Air(bandwidth_hz=cast("Any", None))),
        ("error_db", lambda model: Reports(error_db=cast("Any", "1"))),
    ],
)
def test_a_value_of_a_wrong_type_is_refused_by_its_field(field: str, make: Callable[[Any], object]) -> None:
    # No model is needed: what is typed is checked before any part runs.
    with pytest.raises(ConfigError, match=rf"^{field}: .* is of type .*; give a"):
        make(None)
