"""Published runs as a part of the site: pages link to `../results/`, as they have to on a code host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

RESULTS = Path("results")
LIST = "results/README.md"
LIST_ON_SITE = "results/runs.md"
"""Called `README`, it would be the index of its section and stand in no menu."""


def on_files(files: Files, *, config: Any, **_: Any) -> Files:
    """Adds the figures of all published runs, and the page that lists them, to the files of the site."""
    root = Path(config.config_file_path).parent
    files.append(File.generated(config, LIST_ON_SITE, abs_src_path=str(root / LIST)))
    for path in sorted((root / RESULTS).glob("*/*/figures/*.png")):
        files.append(File.generated(config, str(path.relative_to(root)), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links between pages and results, from where both lie in the repository to where both lie in the site."""
    if page.file.src_uri == LIST_ON_SITE:
        return markdown.replace("](../docs/", "](../")
    return markdown.replace(f"](../{LIST})", f"]({LIST_ON_SITE})").replace("](../results/", "](results/")


def on_page_content(html: str, **_: Any) -> str:
    """Pictures are fetched when they come into view: the gallery has 12 MB of them."""
    return html.replace("<img ", '<img loading="lazy" ')
