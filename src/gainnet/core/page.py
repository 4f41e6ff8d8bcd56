"""Self-contained HTML pages: nothing in them is loaded from elsewhere."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any, final

# A file of its own, so that editors show it as what it is.
_FRAME = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))


@final
@dataclass(frozen=True)
class Page:
    """The content of a page.

    Args:
        title: its heading, plain text.
        subtitle: a line below it, plain text.
        body: HTML.
        convention: how numbers are to be read, plain text.
        json_name: of the file that holds `summary`.
        summary: everything that is shown, as JSON.
        style: CSS rules that only this page needs.
    """

    title: str
    subtitle: str
    body: str
    convention: str
    json_name: str
    summary: Mapping[str, Any]
    style: str = ""

    def html(self) -> str:
        """The page as a file.

        >>> "<h1>a &lt; b</h1>" in Page("a < b", "", "<p>c</p>", "", "d.json", {}).html()
        True
        """
        return _FRAME.substitute(
            title=escape(self.title),
            subtitle=escape(self.subtitle),
            body=self.body,
            convention=escape(self.convention),
            json_name=escape(self.json_name),
            json=escape(json.dumps(self.summary, indent=2)),
            style=self.style,
        )


def tiles(shown: Mapping[str, str]) -> str:
    """Values in large letters, each under its name; both plain text.

    >>> tiles({"PSNR": "30 dB"})
    '<div class="tiles"><div class="tile"><span class="note">PSNR</span><b>30 dB</b></div></div>'
    """
    tile = '<div class="tile"><span class="note">{}</span><b>{}</b></div>'.format
    each = (tile(escape(name), escape(value)) for name, value in shown.items())
    return f'<div class="tiles">{"".join(each)}</div>'


def table(heads: str, rows: str) -> str:
    """A table that scrolls when it is wider than the page, of the HTML of its heads and rows."""
    return f'<div style="overflow-x:auto"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def embed_picture(name: str, png: bytes) -> str:
    """A picture within the page.

    >>> embed_picture("map", b"PNG")
    '<img alt="map" src="data:image/png;base64,UE5H">'
    """
    return f'<img alt="{escape(name)}" src="data:image/png;base64,{b64encode(png).decode()}">'
