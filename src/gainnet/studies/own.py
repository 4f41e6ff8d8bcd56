"""One more curve: codecs, policies, protocols and channels of the user's, by the text that commands take for them.

    methods = ["linear", "my_codec:Halves(depth=2)"]      one of the study's own, and one of the user's

Text becomes objects in the catalog; here are the fields that accept it, and what a study asks of such a method.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, is_dataclass, replace
from functools import lru_cache
from typing import Any, Final, final

from pydantic import AfterValidator

from gainnet.catalog import parse
from gainnet.codecs import bind
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.content import Content, Kind
from gainnet.core.errors import ConfigError, GainnetError
from gainnet.core.plugins import reason_of
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Payload, Symbols
from gainnet.studies.study import Case, Method, Row

TRIED: Final = {"num_channel_uses": 256, "max_bits": 2048.0}
"""A budget that a codec is made with when its text is read, before there is one."""


def one_or_own(names: Sequence[str], check: Callable[[str], object]) -> AfterValidator:
    """The check of a field that takes one of some names, or the text of something of the user's.

    Args:
        names: of the study.
        check: opens a text, and raises `ConfigError` when it names nothing that keeps the contract.

    >>> one_or_own(("webp",), check_codec).func("transform")
    'transform'
    """

    def checked(text: str) -> str:
        if text in names:
            return text
        try:
            check(text)
        except ConfigError as error:
            # A slip in a name of the study gets its list; what has a module is of the user's.
            if ":" in text or "(" in text:
                raise
            known = ", ".join(names)
            raise ConfigError(f"{text!r} is unknown; choose among {known}, or give module:Class(args)") from error
        return text

    return AfterValidator(checked)


def own(names: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """Those of some methods that are none of the study's.

    >>> own(["linear", "my_codec:Halves"], ["linear", "webp"])
    ('my_codec:Halves',)
    """
    return tuple(name for name in names if name not in known)


@final
@dataclass(frozen=True)
class Guarded:
    """A method of the user's, whose own errors become one line that names it.

    Args:
        name: in the settings.
        method: that may raise anything.
    """

    name: str
    method: Method

    def __call__(self, case: Case, random: Random, /) -> Row:
        try:
            return self.method(case, random)
        except GainnetError as error:
            raise ConfigError(f"methods: {self.name}: {error}") from error
        except Exception as error:
            raise ConfigError(f"methods: {self.name} failed ({reason_of(error)})") from error


def check_fading(text: str) -> None:
    """Raises `ConfigError` unless a text names a channel."""
    parse("fading", text)


def check_codec(text: str) -> None:
    """Raises `ConfigError` unless a text names a codec of seeds or, after `image=`, of pictures."""
    OwnCodec.of_text(text)


@final
@dataclass(frozen=True)
class OwnCodec:
    """A codec by its text, as `--codec` of `gainnet generate` takes it.

    Args:
        text: of the codec.
        kind: what it carries: a seed, or a picture.
        emits: bits or symbols.
    """

    text: str
    kind: Kind
    emits: type[Payload]

    @staticmethod
    def of_text(text: str) -> OwnCodec:
        """The codec of `module:Class(args)`, which carries seeds, or of `image=module:Class(args)`.

        Raises:
            ConfigError: there is none, or it keeps no contract of a codec.

        >>> OwnCodec.of_text("image=webp").kind
        'image'
        """
        return _opened(text)

    @property
    def protocol(self) -> str:
        """The protocol that sends what it carries."""
        return "centralized" if self.kind == "image" else "eiug"

    def bound(self, content: Content, num_channel_uses: int, max_bits: float = 0.0) -> AnyCodec:
        """The codec of a content, in a budget.

        A codec takes `num_channel_uses` or `max_bits` where it has such a field and its text leaves it open; one of a
        fixed size is sent where it fits.

        Args:
            content: model and prompts, and the shape of an item.
            num_channel_uses: complex channel uses of one item.
            max_bits: bits of one item, for codecs of bits.

        Raises:
            ConfigError: it does not fit the budget.
        """
        budget: dict[str, Any] = {"num_channel_uses": num_channel_uses, "max_bits": max_bits}
        made: Any = parse(f"codec.{self.kind}", self.text, budget)
        if is_dataclass(made) and not isinstance(made, type):
            left_open = {name: value for name, value in budget.items() if getattr(made, name, value) is None}
            made = replace(made, **left_open)
        codec = bind(made, content)
        size, most = codec.size(content.spec), max_bits if self.emits is Bits else num_channel_uses
        # A codec with this budget keeps to it; its largest size may be that of any content.
        if getattr(codec, "max_bits", None) != max_bits and size.upper > most:
            raise ConfigError(
                f"methods: {self.text} takes {size.upper:g}, and {most:g} are there; give a larger budget"
            )
        return codec


# Cases ask for the same text again and again.
@lru_cache(maxsize=64)
def _opened(text: str) -> OwnCodec:
    kind, equals, rest = text.partition("=")
    named: Kind = "image" if equals and kind == "image" else "seed"
    rest = rest if equals and kind in ("image", "seed") else text
    made = parse(f"codec.{named}", rest, TRIED)
    if made.emits not in (Bits, Symbols):
        raise ConfigError(f"methods: {type(made).__name__}.emits must be Bits or Symbols")
    return OwnCodec(rest, named, made.emits)
