"""Learned nonlinear transform coding of latents, with streams that decode to equal integers on any machine."""

from gainnet.codecs.transform_seed.codec import TransformSeed
from gainnet.codecs.transform_seed.network import TransformShape
from gainnet.codecs.transform_seed.weights import TransformWeights

__all__ = ["TransformSeed", "TransformShape", "TransformWeights"]
