"""Names of code on a page as links to the reference, where the reference has them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGES = {"equations.md", "glossary.md"}
NAME = re.compile(r"`(gainnet(?:\.\w+)+)`")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Called by mkdocs with the source of every page."""
    if page.file.src_uri not in PAGES:
        return markdown
    sources = [path.read_text() for path in Path(config.docs_dir, "api").rglob("*.md")]
    known = {name for source in sources for name in re.findall(r"^::: (\S+)$", source, re.MULTILINE)}

    def link(found: re.Match[str]) -> str:
        # The last word alone: a column of a table is narrower than a whole dotted name, which would be broken anywhere.
        return f"[`{found[1].rpartition('.')[2]}`][{found[1]}]" if found[1] in known else found[0]

    return NAME.sub(link, markdown)
