"""Abstracts of trials from files of the form of PubMed-RCT (Dernoncourt and Lee 2017).

###15108863
OBJECTIVE<tab>To assess ...
RESULTS<tab>Using five diagnostic criteria, ...
CONCLUSIONS<tab>A 3-day course ...
<empty line>
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import final

from gainnet.core.errors import ConfigError
from gainnet.core.lines import lines_of
from gainnet.models.trials.abstract import ROLES, Sentence, StructuredAbstract

SUFFIXES = (".txt", ".txt.xz")
EVERY = 10
"""Without a file of test abstracts every so-many-th abstract is one."""
OTHER = "other"

_OTHER_NAMES: Mapping[str, str] = {"conclusion": "conclusions", "objectives": "objective", "result": "results"}
_FIELDS: Mapping[str, re.Pattern[str]] = {
    "cardiology": re.compile(r"cardi|heart|coronary|hypertens|blood pressure|stroke|thromb|atrial"),
    "endocrinology": re.compile(r"diabet|insulin|obes|glucose|overweight|thyroid|weight loss"),
    "oncology": re.compile(r"cancer|tumou?r|carcinoma|leuk|lymphoma|chemotherap|metasta|oncolog"),
    "psychiatry": re.compile(r"depress|schizo|anxiety|psychi|cognitive|mental|smok|alcohol"),
}
FIELDS = tuple(_FIELDS)
"""Fields that abstracts are sorted into by key words; the rest is `other`."""
_MIN_KEY_WORDS = 2


@final
@dataclass(frozen=True)
class Collection:
    """Abstracts to learn from and to be tested on.

    Args:
        train: with results and a conclusion.
        test: likewise; never learned from.
        own_test: whether the test is a file of its own rather than every tenth abstract.
        num_left_out: abstracts without results or without a conclusion.
        num_repeated: abstracts whose id came before; those of the test are kept, so that none of it is learned from.
    """

    train: tuple[StructuredAbstract, ...]
    test: tuple[StructuredAbstract, ...]
    own_test: bool
    num_left_out: int
    num_repeated: int = 0


def read_collection(folder: Path) -> Collection:
    """All abstracts of a folder: .txt or .txt.xz; files named test... are the test, else every tenth abstract is.

    Raises:
        ConfigError: the folder holds no such file, a line is not of the form, or too few abstracts are whole.
    """
    paths = sorted(p for p in folder.glob("*") if p.name.endswith(SUFFIXES)) if folder.is_dir() else []
    if not paths:
        raise ConfigError(f"data: {folder} holds no {' or '.join(SUFFIXES)} file; give a folder in PubMed-RCT format")
    tests = [path for path in paths if path.name.startswith("test")]
    # The test first: of abstracts with the same id it is the one to learn from that has to go.
    known = [
        (a, path in tests) for path in (*tests, *(p for p in paths if p not in tests)) for a in read_abstracts(path)
    ]
    first = dict[str, tuple[StructuredAbstract, bool]]()
    for abstract, is_test in known:
        first.setdefault(abstract.name, (abstract, is_test))
    once = list(first.values())
    whole = [a for a, is_test in once if a.is_whole and not is_test]
    test = [a for a, is_test in once if a.is_whole and is_test] if tests else whole[EVERY - 1 :: EVERY]
    train = whole if tests else [a for index, a in enumerate(whole, 1) if index % EVERY]
    if not train or not test:
        raise ConfigError(f"data: {folder} holds {len(whole)} abstracts with results and conclusions; give at least 10")
    num_left_out = len(once) - len(train) - len(test)
    return Collection(tuple(train), tuple(test), bool(tests), num_left_out, len(known) - len(once))


def read_abstracts(path: Path) -> list[StructuredAbstract]:
    """The abstracts of a file, in their order.

    Raises:
        ConfigError: it cannot be read, or a line of it is not of the form.
    """
    # At line feeds alone: sentences hold carriage returns, U+2028, U+0085 and form feeds.
    lines = lines_of(path, "data", "UTF-8 text, plain or xz-compressed", "\n")
    return list(_abstracts((line.removesuffix("\r") for line in lines), path))


def field_of(abstract: StructuredAbstract) -> str:
    """The field whose key words a document holds most often, at least two; else `other`.

    >>> field_of(StructuredAbstract("a", (Sentence("results", "Insulin fell in diabetic women."),)))
    'endocrinology'
    """
    text = abstract.document.lower()
    # How often, not whether: a trial of heart disease in diabetics names the heart more often.
    counts = {name: len(words.findall(text)) for name, words in _FIELDS.items()}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] >= _MIN_KEY_WORDS else OTHER


def _abstracts(lines: Iterable[str], path: Path) -> Iterator[StructuredAbstract]:
    name, sentences = "", list[Sentence]()
    # An empty line at the end closes the last abstract of a file without one.
    for number, line in enumerate(chain(lines, [""]), 1):
        if line.startswith("###"):
            # The next abstract ends the one before it, also where the empty line between them is missing.
            if name:
                yield StructuredAbstract(name, tuple(sentences))
            name, sentences = line[3:].strip(), []
        elif not line.strip():
            if name:
                yield StructuredAbstract(name, tuple(sentences))
            name, sentences = "", []
        else:
            sentence = _sentence(line, f"{path}:{number}", bool(name))
            # A label without a sentence is an empty section, and an abstract whose results are empty is not whole.
            sentences += [sentence] if sentence.text else []


def _sentence(line: str, place: str, is_inside: bool) -> Sentence:
    role, tab, text = line.partition("\t")
    # Files of other years have the same sections under other names.
    role = _OTHER_NAMES.get(role.strip().lower(), role.strip().lower())
    if not (is_inside and tab and role in ROLES):
        names = ", ".join(r.upper() for r in ROLES)
        raise ConfigError(f"data: {place} is not ###id or LABEL<tab>sentence below one, with a LABEL among {names}")
    return Sentence(role, text.strip())
