"""Captions of emoji: their names and what else people call them, by stated rules.

A caption is determiner + thing + tones. The thing is the name, another name of the collection, a keyword of CLDR that
no other emoji has, `female` or `male` for `woman` or `man` before what is an emoji by itself, or a plural of one or two
words.
Tones follow as `with dark skin`, `dark skin tone` and so on; of two, that of the person on the left comes first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from gainnet.core.errors import ModelError
from gainnet.core.outside import read_json, reading
from gainnet.models.emoji.names import EmojiName
from gainnet.models.vocabulary import split_words

WORDINGS = "wordings.json"
"""The file of a model folder that says what every picture may be called."""

OWN_NAME_SHARE = 0.5
"""Share of captions that are the name as it stands."""

ONE_TONE = (
    "{thing} {tone} skin tone",
    "{thing} with {tone} skin",
    "{thing} with {tone} skin tone",
    "{tone} skinned {thing}",
)
TWO_TONES = (
    "{thing} {tone} skin tone {other} skin tone",
    "{thing} with {tone} and {other} skin",
    "{thing} with {tone} skin tone and {other} skin tone",
)
"""The first of each is the wording of the names."""

DETERMINERS = ("", "", "a ", "the ")
_GENDERS = {"woman": "female", "man": "male"}


def plural(words: Sequence[str]) -> list[str]:
    """The plural of a thing of one or two words; nothing where there is none, as of `no smoking`.

    >>> plural(["red", "cherry"]), plural(["glasses"]), plural(["fox"])
    (['red', 'cherries'], [], ['foxes'])
    """
    *first, last = words
    if len(first) > 1 or not last.isalpha() or len(last) < 3 or last.endswith(("s", "ed", "ing")):
        return []
    if last.endswith(("ch", "sh", "x", "z")):
        return [*first, last + "es"]
    if last.endswith("y") and last[-2] not in "aeiou":
        return [*first, last[:-1] + "ies"]
    return [*first, last + "s"]


def article(caption: str) -> str:
    """`a ` or `an ` by the first letter; nothing before what looks like a plural.

    >>> article("octopus"), article("glasses"), article("red heart")
    ('', '', 'a ')
    """
    head = caption.split(" with ")[0]
    if head.endswith("s") and not head.endswith("ss"):
        return ""
    return "an " if caption[0] in "aeiou" else "a "


@final
@dataclass(frozen=True)
class Wording:
    """All that one picture may be called, before determiner and tones.

    Args:
        name: its own name.
        others: other things that it may be called, none of them the name or that of another picture.
        tones: its skin tones in words.
    """

    name: str
    others: tuple[str, ...]
    tones: tuple[str, ...]

    def own(self) -> str:
        """The name as a caption.

        >>> Wording("judge", (), ("medium dark",)).own()
        'judge medium dark skin tone'
        """
        return self._toned(self.name, 0)

    def write(self, rng: np.random.Generator) -> str:
        """A caption: the name itself in half of all cases, else any wording.

        Args:
            rng: of the choice.

        >>> Wording("firefighter", ("fireman",), ("dark",)).write(np.random.default_rng(5))
        'a fireman with dark skin tone'
        """
        if rng.random() < OWN_NAME_SHARE:
            return self.own()
        return self.paraphrase(rng)

    def paraphrase(self, rng: np.random.Generator) -> str:
        """A caption by any of the rules, each choice equally likely."""
        # The name itself as often as all others together: most pictures have just one.
        things = (self.name,) if not self.others or rng.random() < 0.5 else self.others
        caption = self._toned(things[rng.integers(len(things))], int(rng.integers(1 << 16)))
        determiner = DETERMINERS[rng.integers(len(DETERMINERS))]
        if determiner == "a ":
            return f"{article(caption)}{caption}"
        return determiner + caption

    def _toned(self, thing: str, choice: int) -> str:
        if not self.tones:
            return thing
        forms = ONE_TONE if len(self.tones) == 1 else TWO_TONES
        return forms[choice % len(forms)].format(thing=thing, tone=self.tones[0], other=self.tones[-1])


def wordings(names: Sequence[Sequence[str]], synonyms: Mapping[str, Sequence[str]]) -> tuple[Wording, ...]:
    """Captions that fit every picture.

    Args:
        names: of every picture: its own name, then further ones, as the collection writes them.
        synonyms: name -> further words for it.

    >>> wordings([["judge"], ["woman-judge-dark-skin-tone"]], {"judge": ["justice"]})[1]
    Wording(name='woman judge', others=('female judge',), tones=('dark',))
    """
    shown = [EmojiName.parse(own[0]) for own in names]
    concepts = frozenset(name.concept for name in shown)
    tones = [tuple(" ".join(split_words(tone)) for tone in name.tones) for name in shown]
    things = [_things(own, synonyms, concepts) for own in names]
    # A wording of two pictures would ask for both; only who has it as a name keeps it.
    claims = Counter((thing, tone) for own, tone in zip(things, tones, strict=True) for thing in own)
    main = {(own[0], tone) for own, tone in zip(things, tones, strict=True)}
    return tuple(
        Wording(own[0], tuple(x for x in own[1:] if claims[x, tone] == 1 and (x, tone) not in main), tone)
        for own, tone in zip(things, tones, strict=True)
    )


def _things(names: Sequence[str], synonyms: Mapping[str, Sequence[str]], concepts: frozenset[str]) -> tuple[str, ...]:
    """All that a picture may be called without its tones, each once, the name first."""
    # Some former names number the tones, which nobody says.
    own = [EmojiName.parse(name) for name in names if not re.search(r"tone\d", name)]
    found = [split_words(text) for name in own for text in (name.concept, *synonyms.get(name.concept, ()))]
    gender, _, rest = own[0].concept.partition("-")
    if gender in _GENDERS and rest in concepts:
        found.append([_GENDERS[gender], *split_words(rest)])
    # Persons are drawn with tones; of those without one, names of one or two words are mostly things.
    if not own[0].tones and gender not in ("man", "woman", "person"):
        found.append(plural(found[0]))
    return tuple(dict.fromkeys(" ".join(words) for words in found if words))


def read_wordings(path: Path) -> tuple[Wording, ...]:
    """Captions that fit every picture, read from a model folder.

    Raises:
        ModelError: the file is missing or damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"model: {path} cannot be read ({error.strerror}); copy the whole folder") from None
    found = read_json(content, "model", ModelError)
    with reading("model", ModelError):
        return tuple(Wording(name, tuple(others), tuple(tones)) for name, others, tones in found)


def wordings_as_json(wordings: Sequence[Wording]) -> list[Any]:
    """Name, synonyms and skin tones of every picture, as `read_wordings` reads them."""
    return [[own.name, list(own.others), list(own.tones)] for own in wordings]
