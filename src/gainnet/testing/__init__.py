"""The contracts as callable tests: give them your own channel, link, codec, part or plan.

Each raises `AssertionError` with one sentence that says what does not hold. Tests of single classes are in
`tests/`, not here.
"""

from gainnet.testing.channels import check_channel
from gainnet.testing.codecs import check_codec
from gainnet.testing.links import check_link
from gainnet.testing.parts import check_part, check_sliceable
from gainnet.testing.plans import check_plan

__all__ = ["check_channel", "check_codec", "check_link", "check_part", "check_plan", "check_sliceable"]
