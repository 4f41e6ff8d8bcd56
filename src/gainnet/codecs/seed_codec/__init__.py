"""Learned joint source-channel coding of latents: one network for every number of uses and every SNR."""

from gainnet.codecs.seed_codec.codec import SeedCodec
from gainnet.codecs.seed_codec.network import Architecture, SeedNetwork
from gainnet.codecs.seed_codec.picture_basis import PictureBasis
from gainnet.codecs.seed_codec.vocabulary import Vocabulary
from gainnet.codecs.seed_codec.weights import SeedWeights

__all__ = ["Architecture", "PictureBasis", "SeedCodec", "SeedNetwork", "SeedWeights", "Vocabulary"]
