"""The grammar reads what it writes, and refuses anything else in one line without running it."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gainnet.catalog import Call, read, write
from gainnet.core.errors import ConfigError

# Those of `text()` itself, which finds them by encoding every one there is.
CHARACTERS = st.characters(exclude_categories=["Cs"])
names = st.from_regex(r"[a-z_][a-z0-9_-]{0,8}(\.[a-z][a-z0-9]{0,4})?", fullmatch=True).filter(
    lambda name: name not in ("inf", "True", "False", "None")
)
fields = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
literals = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(CHARACTERS, max_size=20)
    | names.map(Call)
)
terms = st.recursive(
    literals,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.builds(Call, names, st.dictionaries(fields, inner, max_size=3))
    ),
    max_leaves=6,
)  # fmt: skip
quietly = settings(database=None, deadline=None, max_examples=100)


def depth(term: object) -> int:
    inner = term.arguments.values() if isinstance(term, Call) else term if isinstance(term, tuple) else ()
    return 1 + max(map(depth, inner), default=0)


@pytest.mark.slow
@quietly
@given(terms.filter(lambda term: depth(term) <= 8))
def test_what_is_written_reads_the_same(term: object) -> None:
    found = read(write(term))
    assert found == term
    assert repr(found) == repr(term)  # 1, 1.0 and True are equal, and not the same


@quietly
@given(st.text(CHARACTERS, max_size=60) | st.text("abc(),=':\"\\.-0123456789 \n", max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        term = read(text)
    except ConfigError as error:
        refused = str(error)
    else:
        refused = "text: read"
        assert read(write(term)) == term
    assert re.fullmatch("text: .*", refused)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "ciag(", "ciag(cut=)", "ciag(cut=3", "ciag(cut=3))", "ciag(3)", "ciag cut", "ciag(cut=3 4)",
        "ciag(cut=1, cut=2)", "ciag(cut=1,,)", "(,)", "a=1", "1 2", "'open", "__import__('os')", "a(b=lambda: 0)",
        "[1]", "{}", "ciag(cut)", "a+b", "a(b=1+1)", "a(**b)", "a;b", "a\x00b", "1e", "0x10", "1_000", "a:b:c", "a:",
        ":a", "..", "a(b=" * 9 + "1" + ")" * 9, "(" * 9 + ")" * 9, "(" * 1500, "a" * 2001,
        '"\\q"', "nan=1", "f'{x}'", "a.b(c.d=1)",
    ],
)  # fmt: skip
def test_a_hostile_or_broken_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        read(text)


def test_numbers_keep_their_type() -> None:
    assert [type(read(text)) for text in ("1", "-1", "1.0", "1e3", ".5", "inf", "-inf")] == [int] * 2 + [float] * 5
    with pytest.raises(ConfigError, match="NaN"):
        write(math.nan)
