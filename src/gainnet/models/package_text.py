"""Descriptions of software packages: text of many hands, in the form that Debian's tools write.

Package: 0ad
Section: games
Maintainer: Debian Games Team <...>
Description: Real-time strategy game of ancient warfare
<empty line>

`apt-cache dumpavail` prints those of a distribution: some 60,000, half a million words. Sections and maintainers are
clients that nobody drew: each has words of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

START = "Package:"
"""How such a file begins."""
OTHER = "other"
MIN_TEXTS = 50
"""Sections or maintainers with fewer descriptions are one, `other`."""

GroupOf = Literal["section", "maintainer"]


@final
@dataclass(frozen=True)
class Package:
    """A package as its stanza describes it.

    Args:
        name: of the package.
        section: without the part of the archive: `net` for `contrib/net`.
        maintainer: name without address.
        description: one line, and the paragraphs below it where there are any.
    """

    name: str
    section: str
    maintainer: str
    description: str


def read_packages(text: str) -> list[Package]:
    """The packages of a file of stanzas; those without a description are left out.

    >>> stanza = "Package: a\\nSection: contrib/net\\nMaintainer: Ann <a@b>\\nDescription: mail\\n reader\\n"
    >>> read_packages(stanza)[0]
    Package(name='a', section='net', maintainer='Ann', description='mail reader')
    """
    found = []
    for stanza in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(_fields(stanza.split("\n")))
        # Long descriptions stand under the name of their language.
        description = fields.get("Description-en") or fields.get("Description") or ""
        if description and "Package" in fields:
            section = fields.get("Section", OTHER).rpartition("/")[2]
            maintainer = fields.get("Maintainer", OTHER).partition("<")[0].strip()
            found.append(Package(fields["Package"], section, maintainer, description))
    return found


def descriptions_of(packages: Sequence[Package], group: GroupOf, min_texts: int = MIN_TEXTS) -> dict[str, list[str]]:
    """Descriptions by section or by maintainer, the largest group first; equal ones stand once.

    Args:
        packages: in the order of the file.
        group: section or maintainer.
        min_texts: groups with fewer are together `other`.
    """
    # Packages of one source often share their line: in two groups it would be in training and test.
    once = {package.description: package for package in reversed(packages)}
    found: dict[str, list[str]] = {}
    for package in reversed(once.values()):
        found.setdefault(getattr(package, group), []).append(package.description)
    large = {name: texts for name, texts in found.items() if len(texts) >= min_texts and name != OTHER}
    rest = [text for name, texts in found.items() if name not in large for text in texts]
    ordered = dict(sorted(large.items(), key=lambda item: -len(item[1])))
    return ordered | ({OTHER: rest} if rest else {})


def split_descriptions(groups: Mapping[str, Sequence[str]], every: int = 10) -> tuple[list[list[str]], list[str]]:
    """(training texts of each group, test texts of all): of each group every so-many-th text is the test.

    >>> split_descriptions({"net": ["a", "b", "c"], "text": ["d"]}, 2)
    ([['a', 'c'], ['d']], ['b'])
    """
    train = [[text for number, text in enumerate(texts, 1) if number % every] for texts in groups.values()]
    return train, [text for texts in groups.values() for text in texts[every - 1 :: every]]


def _fields(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Fields of a stanza with their lines joined; a line that begins with a space goes on with the one above."""
    name, value = "", ""
    for line in [*lines, ":"]:
        if line[:1] in (" ", "\t"):
            # A point alone stands for an empty line.
            value = f"{value} {line.strip().removeprefix('.')}".strip()
            continue
        if name:
            yield name, value
        name, _, value = (part.strip() for part in line.partition(":"))
