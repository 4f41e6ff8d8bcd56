"""Docstrings as this project writes them, turned into Markdown that shows what a terminal shows."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

EXAMPLE = re.compile(r"(?:^>>> .*\n?(?:^(?!>>>)\S.*\n?)*)+", re.MULTILINE)
FLOW = re.compile(r"^[^\n`]*(?:--|==)>[^\n]*(?:\n[^\n]+)*", re.MULTILINE)
SHAPE = re.compile(r"(?<![`\w])\[(?:\*|\.\.\.)[^\]\n]*\](?!`)")


class ReadableDocstrings(Extension):
    """Fences around examples and flows, code for shapes such as [*batch, num_symbols]."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called by griffe for every module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = readable(obj.docstring.value)


def readable(docstring: str) -> str:
    """The docstring as Markdown."""
    paragraphs = re.split(r"\n{2,}", docstring)
    return "\n\n".join(_paragraph(paragraph) for paragraph in paragraphs)


def _paragraph(paragraph: str) -> str:
    if EXAMPLE.match(paragraph):
        return f"```pycon\n{paragraph}\n```"
    if FLOW.match(paragraph):
        return f"```text\n{paragraph}\n```"
    return SHAPE.sub(lambda shape: f"`{shape[0]}`", paragraph)
