"""What a draft lacks of a finished latent: a transform that knows the draft, an entropy model that does not."""

from gainnet.codecs.correction.codec import ResidualCode
from gainnet.codecs.correction.weights import CorrectionWeights

__all__ = ["CorrectionWeights", "ResidualCode"]
