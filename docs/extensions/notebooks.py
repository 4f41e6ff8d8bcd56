"""Notebooks as pages of the site: what a reader sees who runs them, without running them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

FOLDER = "notebooks"
LINK = re.compile(r"\]\(((?:[\w-]+/)*[\w-]+)\.ipynb\)")


def on_files(files: Files, *, config: Any, **_: Any) -> Files:
    """Adds a page per notebook; the notebooks themselves lie beside, to be downloaded."""
    for path in sorted((Path(config.docs_dir) / FOLDER).glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        files.append(File.generated(config, f"{FOLDER}/{path.stem}.md", content=page_of(notebook, path.name)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to notebooks, from the files that a code host shows to the pages of the site."""
    return LINK.sub(r"](\1.md)", markdown)


def page_of(notebook: Mapping[str, Any], name: str) -> str:
    """The cells of a notebook as Markdown, each output below its cell.

    Args:
        notebook: as JSON, format 4.
        name: of its file.
    """
    # A link in HTML: one in Markdown would be turned into that of this very page.
    download = f'<p><a href="{escape(name)}" download>This page as a notebook</a></p>'
    heading, *cells = ("\n\n".join(_cell(cell)) for cell in notebook["cells"])
    return "\n\n".join([heading, download, *cells])


def _cell(cell: Mapping[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        yield _output(output, cell["metadata"].get("alt", ""))


def _output(output: Mapping[str, Any], alt: str) -> str:
    found = output.get("data", {"text/plain": output.get("text", "")})
    if "image/png" in found:
        content = "".join(found["image/png"]).replace("\n", "")
        return f'<p><img alt="{escape(alt)}" src="data:image/png;base64,{content}"></p>'
    if "text/html" in found:
        return f"<div>{''.join(found['text/html'])}</div>"
    return f"```text\n{''.join(found['text/plain']).rstrip()}\n```"
