"""Corrections of drafts: a transform that knows the draft, and an entropy model that does not."""

from gainnet.codecs.correction.codec import ResidualCode
from gainnet.codecs.correction.weights import CorrectionWeights

__all__ = ["CorrectionWeights", "ResidualCode"]
