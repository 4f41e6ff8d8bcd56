"""Which codec `Automatic` stands for."""

from __future__ import annotations

from gainnet.codecs import RawAnalog, SeedCodec
from gainnet.codecs.content import Content
from gainnet.codecs.selection import suitable
from gainnet.core.types import Spec


def test_codes_for_another_size_of_the_picture_are_not_taken() -> None:
    assert isinstance(suitable(Content(Spec((4, 16, 16)), model="scenes", mean_snr=4.0)), SeedCodec)
    assert isinstance(suitable(Content(Spec((4, 8, 8)), model="scenes", mean_snr=4.0)), RawAnalog)
