"""Arguments of a generation, before anything is made."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gainnet.codecs import Codecs
from gainnet.core.errors import ConfigError
from gainnet.generation.arguments import check_objects
from gainnet.generation.generate import generate


def test_a_text_in_the_place_of_an_object_names_the_call_that_makes_one() -> None:
    with pytest.raises(ConfigError, match=r"model: .* give gainnet\.load\('scenes'\)"):
        generate("a yellow star", cast("Any", "scenes"))
    with pytest.raises(ConfigError, match=r"codecs: .*gainnet\.parse\('codec\.seed', 'linear'\)"):
        check_objects(None, "linear")
    check_objects(None, Codecs())
