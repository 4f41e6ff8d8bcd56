"""Formulas of a page as MathML, which browsers draw without a script."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(html: str, **_: Any) -> str:
    """Called by mkdocs with the body of every page."""
    return FORMULA.sub(_mathml, html)


def _mathml(formula: re.Match[str]) -> str:
    return convert(unescape(formula[2]), display="inline" if formula[1] == "span" else "block")
