"""Published runs as a part of the site: pages link to `../results/`, as they have to on a code host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

RESULTS = Path("results")


def on_files(files: Files, *, config: Any, **_: Any) -> Files:
    """Adds the figures of all published runs, and the page that lists them, to the files of the site."""
    root = Path(config.config_file_path).parent
    for path in (root / RESULTS / "README.md", *sorted((root / RESULTS).glob("*/*/figures/*.png"))):
        uri = str(path.relative_to(root))
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links between pages and results, from where both lie in the repository to where both lie in the site."""
    if page.file.src_uri.startswith(f"{RESULTS}/"):
        return markdown.replace("](../docs/", "](../")
    return markdown.replace("](../results/", "](results/")


def on_page_content(html: str, **_: Any) -> str:
    """Pictures are fetched when they come into view: the gallery has 12 MB of them."""
    return html.replace("<img ", '<img loading="lazy" ')
