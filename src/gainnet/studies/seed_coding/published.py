"""Figures that others have published, to stand beside ours and never to be mixed with them."""

from __future__ import annotations

from typing import Final

from gainnet.core.randomness import Random
from gainnet.studies.study import Case, Row

SOURCE: Final = "MEG-DT, IEEE Communications Magazine 2024, digitised"
SNRS_DB: Final = (-20, -15, -10, -5, 0, 5, 10, 15, 20)
FRECHET_DISTANCES: Final = {
    "published_centralised": (293, 280, 259, 219, 155, 88, 41, 16, 5),
    "published_split": (198, 188, 41, 3.5, 5.9, 4.0, 2.6, 1.8, 1.5),
    "published_merged": (177, 147, 6.2, 6.2, 7.3, 6.0, 5.1, 4.7, 4.8),
}
"""FID over 6 pictures with 64 features, SDXL over AWGN: all pixels, 48 and 96 times fewer symbols."""


def published(case: Case, random: Random) -> Row:
    """What the paper says at the SNR of a case; empty where it says nothing."""
    known = dict(zip(SNRS_DB, FRECHET_DISTANCES[case.method], strict=True))
    return {"frechet_distance_published": known.get(int(float(str(case.values["snr_db"]))))}
