"""Self-contained HTML pages: nothing in them is loaded from elsewhere."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from string import Template
from typing import Any, final

_FRAME = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
  h1 { font-size: 1.4rem; margin-bottom: .2rem } h2 { font-size: 1.05rem; margin-top: 2rem }
  .note { color: #57606a; font-size: .85rem }
  .tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0 }
  .tile { border: 1px solid #d0d7de; border-radius: 8px; padding: .5rem .9rem; min-width: 8rem }
  .tile b { display: block; font-size: 1.2rem }
  img { max-width: 100%; border: 1px solid #d0d7de; border-radius: 8px }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums }
  th, td { text-align: right; padding: .25rem .7rem; font-size: .85rem; white-space: nowrap }
  th, td { border-bottom: 1px solid #d8dee4 }
  th:first-child, td:first-child { text-align: left }
  pre { background: #f6f8fa; padding: .8rem; border-radius: 8px; overflow-x: auto; font-size: .8rem }
$style</style>
</head>
<body>
<h1>$title</h1>
<p class="note">$subtitle</p>
$body
<h2>Convention</h2>
<p class="note">$convention</p>
<h2>As JSON</h2>
<details><summary>$json_name</summary><pre>$json</pre></details>
</body>
</html>
""")


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
    each = (
        f'<div class="tile"><span class="note">{escape(name)}</span><b>{escape(value)}</b></div>'
        for name, value in shown.items()
    )
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
