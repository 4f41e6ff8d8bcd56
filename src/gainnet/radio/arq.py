"""Automatic repeat request: how often, how late and in which form codewords that failed are sent again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, final, get_args

from gainnet.core.errors import ConfigError, check_range

Harq = Literal["none", "ir", "free"]
"""A receiver discards a codeword that failed (`none`), or combines it with redundancy that is sent later: of the code
rates and redundancy versions of 5G (`ir`), or of any length that measured tables find best (`free`)."""


@final
@dataclass(frozen=True)
class Arq:
    """Settings of selective repeat over codewords.

    Args:
        max_attempts: transmissions of a codeword, >= 1; an item that lacks one after that many is lost.
        feedback_delay_s: wait for acknowledgements before codewords are sent again, >= 0; 1 ms is assumed.
        target_bler: block error rate that link adaptation aims at, in (0, 0.5).
        deadline_s: time from the start of an item, feedback included, after which it is useless; nothing that would end
            later is sent, and the item is lost.
        harq: `free` sends more redundancy of a failed codeword, as much as `attempts_for` says, decodes all attempts
            together, and counts acknowledgements as channel uses; `ir` sends redundancy versions of 5G; `none` sends
            the codeword anew.

    Raises:
        ConfigError: a field is out of range.

    >>> Arq(harq="none").combines, Arq(harq="ir").combines
    (False, True)
    >>> Arq(max_attempts=0)
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: max_attempts: 0 is out of range; must be 1 or more
    """

    max_attempts: int = 8
    feedback_delay_s: float = 1e-3
    target_bler: float = 1e-2
    deadline_s: float = math.inf
    harq: Harq = "free"

    def __post_init__(self) -> None:
        check_range(self.max_attempts >= 1, "max_attempts", self.max_attempts, "1 or more")
        check_range(0.0 <= self.feedback_delay_s < math.inf, "feedback_delay_s", self.feedback_delay_s, "0 s or more")
        check_range(0.0 < self.target_bler < 0.5, "target_bler", self.target_bler, "between 0 and 0.5")
        check_range(self.deadline_s > 0.0, "deadline_s", self.deadline_s, "positive, in s, or inf")
        if self.harq not in get_args(Harq):
            raise ConfigError(f"harq: {self.harq!r} is unknown; must be none, ir or free")

    @property
    def combines(self) -> bool:
        """Whether the receiver decodes all attempts of a codeword together."""
        return self.harq != "none"

    @property
    def is_free(self) -> bool:
        """Whether codewords have any length, rather than one of a ladder of code rates."""
        return self.harq == "free"
