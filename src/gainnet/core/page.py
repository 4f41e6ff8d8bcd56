"""Self-contained HTML pages: nothing in them is loaded from elsewhere."""

from __future__ import annotations

import io
import json
import re
from base64 import b64encode
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BETWEEN_WORDS = re.compile(r"(?<=\w)([._])(?=[A-Za-z])")
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
    '<dl class="tiles"><div class="tile"><dt class="note">PSNR</dt><dd>30 dB</dd></div></dl>'
    """
    tile = '<div class="tile"><dt class="note">{}</dt><dd>{}</dd></div>'.format
    each = (tile(escape(name), escape(value)) for name, value in shown.items())
    return f'<dl class="tiles">{"".join(each)}</dl>'


def table(name: str, heads: Sequence[str], rows: Iterable[Sequence[str]], marked: Container[str] = ()) -> str:
    """A table whose first column names its rows; it scrolls when it is wider than the page.

    Args:
        name: read aloud before it.
        heads: of the columns, plain text.
        rows: cells, plain text.
        marked: first cells of the rows that stand out.

    >>> "a</th><td>1 &lt; 2</td>" in table("b", ("c", "d"), [("a", "1 < 2")])
    True

    A name that is too long for a phone is broken between its words, and never within an arrow:

    >>> "psnr_<wbr>db.<wbr>median</th>" in table("metrics", ("metric",), [("psnr_db.median",)])
    True
    >>> 'a <span class="whole">-&gt;</span> b</th>' in table("steps", ("step",), [("a -> b",)])
    True
    """
    columns = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    body = "".join(_row(row, row[0] in marked) for row in rows)
    return _scrolling(name, f"<table><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table>")


def _row(cells: Sequence[str], is_marked: bool) -> str:
    first, *others = (escape(cell) for cell in cells)
    first = _BETWEEN_WORDS.sub(r"\1<wbr>", first).replace("-&gt;", '<span class="whole">-&gt;</span>')
    begin = '<tr class="chosen">' if is_marked else "<tr>"
    return f'{begin}<th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'


def _scrolling(name: str, html: str) -> str:
    # Who has no mouse scrolls with the arrow keys, which needs the focus.
    return f'<div class="scrolls" role="region" tabindex="0" aria-label="{escape(name)}">{html}</div>'


def png_of(figure: Figure) -> bytes:
    """A figure as a file that is the same for the same numbers."""
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def embed_picture(alt: str, png: bytes) -> str:
    """A picture within the page.

    Args:
        alt: what it shows, for who cannot see it.
        png: the file.

    >>> embed_picture("map", b"PNG")
    '<img alt="map" src="data:image/png;base64,UE5H">'
    """
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{b64encode(png).decode()}">'


def embed_wide_picture(alt: str, png: bytes) -> str:
    """A picture within the page whose letters a phone would make too small: it scrolls there instead.

    >>> embed_wide_picture("map", b"PNG").startswith('<div class="scrolls" role="region" tabindex="0"')
    True
    """
    return _scrolling(alt, embed_picture(alt, png))


def captioned(caption: str, picture: str) -> str:
    """A picture with its caption below; of plain text and of the HTML of the picture.

    >>> captioned("a & b", embed_picture("map", b""))
    '<figure><img alt="map" src="data:image/png;base64,"><figcaption>a &amp; b</figcaption></figure>'
    """
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"
