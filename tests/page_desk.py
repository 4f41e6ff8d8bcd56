"""What every page is held to: structure, names for who cannot see, contrast, and nothing from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise, product

HOSTILE = "<script>alert(\"x\")</script> & 'a red star' $title"
"""A name as somebody could write it who wants a page to run something."""

VOID = {"meta", "img", "input", "br", "wbr", "link", "hr"}
NAMELESS = {"", "picture", "image", "figure", "side by side"}
LEAST_CONTRAST, LEAST_CONTRAST_OF_BARS = 4.5, 3.0
"""WCAG 2.2, 1.4.3 and 1.4.11."""


class Outline(HTMLParser):
    """Tags with their attributes in order, and those that are open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]


def check_page(html: str, num_scripts: int = 0) -> None:
    """Raises `AssertionError` with a sentence where a page is not one for everybody.

    Args:
        html: the page.
        num_scripts: elements of scripts and their data that it has to have; one more came from a name.
    """
    outline = Outline(html)
    assert outline.open == [], "an element is not closed"
    assert outline.all("html")[0].get("lang"), "no language"
    assert [m for m in outline.all("meta") if m.get("name") == "viewport"], "a phone would show it as a desktop does"
    assert len(outline.all("script")) == num_scripts, "a script that is not the page's own"
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1 == levels[0], "not one heading of the page"
    assert all(after <= before + 1 for before, after in pairwise(levels)), f"headings skip a level: {levels}"
    for picture in outline.all("img"):
        assert (picture.get("alt") or "") not in NAMELESS, "a picture without words"
    for canvas in outline.all("canvas", "select", "input"):
        assert canvas.get("aria-label"), f"{canvas} has no name"
    assert all(head.get("scope") in ("col", "row") for head in outline.all("th")), "a head that heads nothing"
    addresses = [a.get(name) for _, a in outline.tags for name in ("src", "href", "srcset", "action") if a.get(name)]
    assert all(address and address.startswith("data:") for address in addresses), "something is loaded from elsewhere"
    css = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    assert not re.search(r"@import|url\(", css)
    assert "@media print" in css
    _check_contrast(css)


def _check_contrast(css: str) -> None:
    letters = set(re.findall(r"[{;\s]color: (#[0-9a-f]{3,6})", css))
    behind = set(re.findall(r"background: (#[0-9a-f]{3,6})", css)) | {"#ffffff"}
    pale = {colour for colour in behind if luminance(colour) > 0.5}
    assert letters
    for one, other in product(letters, pale):
        assert contrast(one, other) >= LEAST_CONTRAST, f"letters {one} on {other}"
    stripes = set(re.findall(r"gradient\([^)]*?(#[0-9a-f]{6})", css))
    for one in (behind - pale) | stripes:
        assert contrast(one, "#f6f8fa") >= LEAST_CONTRAST_OF_BARS, f"a bar in {one}"


def contrast(one: str, other: str) -> float:
    """Ratio of the luminances of two colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Relative, 0 to 1, of #rgb or #rrggbb."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    shares = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(weight * s for weight, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
