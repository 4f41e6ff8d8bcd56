"""Which codec carries what a protocol sends, and how a codec is bound to its content."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, ClassVar, Final, Protocol, cast, final, runtime_checkable

from gainnet.codecs.basis import SHIPPED_FOR
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.components import components_of
from gainnet.codecs.content import Content, Kind
from gainnet.codecs.correction import CorrectionWeights, ResidualCode
from gainnet.codecs.image import WebP
from gainnet.codecs.linear import LinearCode
from gainnet.codecs.matched_seed import MatchedSeed
from gainnet.codecs.quantizer import UniformQuantizer
from gainnet.codecs.rate_matched import RateMatched
from gainnet.codecs.raw import Float32, RawAnalog
from gainnet.codecs.seed_codec import SeedCodec, SeedWeights
from gainnet.codecs.sketch import QuantizedSketch
from gainnet.codecs.text import TextCodec
from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.plugins import require_members
from gainnet.core.types import Bits, Payload, Symbols

MATCHED_BELOW = 10.0
"""Mean linear SNR up to which `MatchedSeed` is the default between two steps. It beats an MMSE estimate that is taken
as clean by 1 dB or more up to 5 dB (study hand-over); far above 10 dB the estimate is better, since a sampler that
resumes between its own times makes a slightly different picture."""


UNKNOWN_RESIDUAL: Final = 0.3
"""Standard deviation that the tables expect of the residual of a draft without weights, of latents of unit variance;
assumed."""


@runtime_checkable
class Bindable(Protocol):
    """A codec that takes from its content what its user left open: a basis, weights, prompts, a scale."""

    def bound(self, content: Content) -> AnyCodec:
        """The codec of this content."""


@final
@dataclass(frozen=True)
class Automatic:
    """Stands for the codec that suits model and link, see `suitable`; `bind` puts that in its place.

    >>> from gainnet.core.types import Spec
    >>> type(bind(Automatic(), Content(Spec((4, 16, 16))))).__name__
    'Float32'
    >>> Automatic().size(Spec((4, 16, 16)))
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: codec: none is chosen; give one, or bind Automatic() to its content
    """

    emits: ClassVar[type[Payload]] = Bits

    def size(self, *arguments: object) -> Any:
        """Raises `ConfigError`: no codec is chosen yet; likewise the other methods."""
        raise ConfigError("codec: none is chosen; give one, or bind Automatic() to its content")

    encode = decode = size


def bind(codec: AnyCodec, content: Content) -> AnyCodec:
    """The codec of a content: the only place where models, prompts and links reach a codec.

    A number of channel uses becomes the field `num_channel_uses` of a codec that has one; a codec with a field
    `max_bits` fills what the link carries in them. Anything else is used as it is.

    Args:
        codec: as its user made it.
        content: what it carries.

    Raises:
        ConfigError: it is no codec, or cannot keep to the number of channel uses of the content.
        ModelError: no weights fit the model of the content.

    >>> from gainnet.core.types import Spec
    >>> bind(LinearCode(), Content(Spec((4, 16, 16)))).size(Spec((4, 16, 16))).upper
    512
    """
    own: Any = suitable(content) if isinstance(codec, Automatic) else codec
    uses, budget = content.num_channel_uses, content.capacity_bits
    # The length of a prompt is its own; only content keeps to the number.
    if uses is None or content.kind == "prompt":
        return _with_material(own, content)
    check_length(own, uses)
    if hasattr(own, "num_channel_uses"):
        return _with_material(replace(own, num_channel_uses=uses) if is_dataclass(type(own)) else own, content)
    if hasattr(own, "max_bits") and budget is not None:
        whole: Any = _with_material(own, content)
        return RateMatched(lambda bits: replace(whole, max_bits=bits), budget, content.snrs)
    raise _of_fixed_size(own)


def check_length(codec: AnyCodec, num_channel_uses: int) -> None:
    """Raises `ConfigError` when a codec has a size of its own, and so none that a number of channel uses could set.

    Args:
        codec: of a content, bound or not.
        num_channel_uses: complex channel uses that are asked for.

    >>> check_length(Float32(), 512)
    Traceback (most recent call last):
    gainnet.core.errors.ConfigError: num_channel_uses: Float32 has a fixed size; leave the number out or ...
    """
    if not (hasattr(codec, "num_channel_uses") or hasattr(codec, "max_bits")):
        raise _of_fixed_size(codec)
    if getattr(codec, "num_channel_uses", getattr(codec, "max_bits", None)) not in (None, num_channel_uses):
        raise ConfigError(
            f"num_channel_uses: {num_channel_uses} are asked for and {type(codec).__name__} has its own size; "
            "give one of them"
        )


def _of_fixed_size(codec: AnyCodec) -> ConfigError:
    return ConfigError(
        f"num_channel_uses: {type(codec).__name__} has a fixed size; leave the number out or choose another codec"
    )


def _with_material(codec: AnyCodec, content: Content) -> AnyCodec:
    """The codec with its basis, weights, prompts or scale."""
    require_members(f"codec.{content.kind}", codec, ("emits", "size", "encode", "decode"))
    if codec.emits not in (Bits, Symbols):
        raise ConfigError(f"codec.{content.kind}: {type(codec).__name__}.emits must be Bits or Symbols")
    return codec.bound(content) if isinstance(codec, Bindable) else codec


def suitable(content: Content) -> AnyCodec:
    """The codec that `Automatic` stands for, not bound yet.

    Lossless over a link without errors. For latents the learned code of symbols where there are weights, which is 3 to
    5 dB above a linear one at every SNR and length (study seed-coding); else a linear code where their principal
    components are known; else raw symbols. `MatchedSeed` for a latent that a receiver resumes in noise; for all others
    the code of least error.

    >>> from gainnet.core.types import Spec
    >>> type(suitable(Content(Spec((4, 16, 16)), model="scenes", mean_snr=4.0))).__name__
    'SeedCodec'
    """
    is_free = content.num_channel_uses is None
    match content.kind:
        case "prompt":
            return TextCodec()
        # Where bits are free and arrive, every loss would be the codec's own.
        case _ if is_free and math.isinf(content.mean_snr):
            return Float32()
        case "seed":
            return _learned(content) or (LinearCode() if _has_basis(content) else RawAnalog())
        case "midway":
            return MatchedSeed() if content.is_resumed and is_free and content.mean_snr < MATCHED_BELOW else RawAnalog()
        case "sketch":
            return QuantizedSketch()
        case "image":
            return WebP()
        case "correction":
            return _correction(content)


def _learned(content: Content) -> AnyCodec | None:
    """The learned code of symbols, as long as the linear one; `None` without weights or of another length or size."""
    if content.model is None:
        return None
    # Both ends know the prompt, which the device has sent itself.
    prompts = () if content.prompts else None
    own = None if content.num_channel_uses else content.spec.num_values // 2
    try:
        # Weights and length are tried here, and filled in when it is bound.
        weights = SeedWeights.of_content(content)
        SeedCodec(content.num_channel_uses or own, prompts, weights)
    except (ModelError, ConfigError):
        return None
    # They are for one size of the picture, that which they were learned with.
    return SeedCodec(own, prompts) if weights.basis.num_values == content.spec.num_values else None


def _correction(content: Content) -> AnyCodec:
    """The learned code where it was trained on the draft, else rounded values."""
    try:
        CorrectionWeights.of_content(content)
    except ModelError:
        # Residuals of an unknown draft; a digest beyond the table is sent in full.
        return UniformQuantizer(scale=UNKNOWN_RESIDUAL, shape="laplace")
    return ResidualCode()


def _has_basis(content: Content) -> bool:
    """Whether principal components fit; a shipped model without its own is an error that `bound` raises."""
    if content.model is None:
        return True
    try:
        components_of(content, "linear").check(content.spec, "linear")
    except ConfigError:
        # Of this model, learned at another size of the picture.
        return False
    except ModelError:
        return content.model == SHIPPED_FOR
    return True


@final
@dataclass(frozen=True)
class Codecs:
    """Which codec carries what a protocol sends.

    Args:
        prompt: text, up.
        seed: a finished latent, down; the latent of a picture, up.
        midway: a latent between two steps of the sampler.
        sketch: a small picture or a map of edges.
        image: a picture.
        correction: what a draft lacks of a finished latent, down.

    >>> Codecs(seed=LinearCode(512)).seed.num_channel_uses
    512
    """

    prompt: AnyCodec = Automatic()
    seed: AnyCodec = Automatic()
    midway: AnyCodec = Automatic()
    sketch: AnyCodec = Automatic()
    image: AnyCodec = Automatic()
    correction: AnyCodec = Automatic()

    def of(self, kind: Kind) -> AnyCodec:
        """The codec of that kind."""
        return cast(AnyCodec, getattr(self, kind))

    def choose(self, contents: Mapping[Kind, Content]) -> Codecs:
        """The codecs of these contents, where `Automatic` is replaced by what suits the content."""
        automatic = {kind: content for kind, content in contents.items() if isinstance(self.of(kind), Automatic)}
        return replace(self, **{kind: suitable(content) for kind, content in automatic.items()})

    def bind(self, contents: Mapping[Kind, Content]) -> Codecs:
        """The codecs of these contents, each bound to its own; see `bind`."""
        return replace(self, **{kind: bind(self.of(kind), content) for kind, content in contents.items()})
