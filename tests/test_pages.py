"""README and docs say what is so: numbers, names, figures, links and commands exist as they stand there."""

from __future__ import annotations

import ast
import csv
import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from math import log10
from pathlib import Path
from statistics import fmean

import pytest
from click import Command, Context, Group

from gainnet.cli import app

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
README = (ROOT / "README.md").read_text()
PAGES = sorted({ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")})
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    .*$", re.MULTILINE)
MAX_README_WORDS = 700
MAX_TOUR_WORDS = 1500
ROWS = {
    "best image codec of six, VVC among them": "best_image_codec",
    "finished picture, coded for the domain": "domain_picture",
    "`linear`, analog": "linear",
    "`seed`, learned, analog": "seed",
    "`transform`, learned, in bits": "transform",
    "`transform_prompt`, the same with the prompt": "transform_prompt",
    "the same and one denoising step on the device": "transform_prompt_denoised",
}
"""Methods of the study `seed-coding` by their rows in README."""


def run_of(study: str) -> Path:
    (folder,) = (RESULTS / study).iterdir()
    return folder


def metrics_of(study: str) -> dict[str, float]:
    """Metrics of a published run, those without a value left out."""
    metrics = json.loads((run_of(study) / "run.json").read_text())["metrics"]
    return {name: value for name, value in metrics.items() if value is not None}


def mean_of(study: str, column: str, **cell: str) -> float:
    """The mean of a column of a published table over the rows of one cell."""
    with (run_of(study) / "table.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if cell.items() <= row.items()]
    return fmean(float(row[column]) for row in rows)


@pytest.mark.parametrize(("page", "most"), [("README.md", MAX_README_WORDS), ("docs/index.md", MAX_TOUR_WORDS)])
def test_first_pages_are_short(page: str, most: int) -> None:
    """Words outside blocks of code, addresses of links left out."""
    prose = re.sub(r"\]\([^)]*\)", "]", INDENTED.sub("", BLOCK.sub("", (ROOT / page).read_text())))
    assert len(re.findall(r"\w[\w.'’-]*", prose)) <= most


def test_numbers_of_readme_are_those_of_the_published_runs() -> None:
    metrics = metrics_of("seed-coding")
    for label, method in ROWS.items():
        cells = re.search(rf"^\| {re.escape(label)} \|(.*)\|$", README, re.MULTILINE)
        assert cells is not None, label
        printed = [cell.strip(" *").replace(",", "") for cell in cells[1].split("|")]
        values = [metrics.get(f"uses_for_30db.{method}.{snr}db") for snr in (0, 5, 10)]
        assert printed == ["not reached" if value is None else f"{value:.0f}" for value in values], label
    at_5_db = {"task": "text_to_image", "snr_db": "5.0", "hardware": "phone"}
    for method, energy_j, duration_s in (("centralized", "0.003 J", "0.15 s"), ("eiug", "9.1 J", "2.0 s")):
        for column, printed in (("device_energy_j", energy_j), ("duration_p95_s", duration_s)):
            value = mean_of("protocols", column, method=method, **at_5_db)
            assert f"{value:.{len(printed.split()[0].split('.')[1])}f}" == printed.split()[0], (method, column)
            assert re.search(re.escape(printed).replace(r"\ ", r"\s"), README), printed
    cell = {"fading": "awgn", "snr_db": "0.0", "num_channel_uses": "256", "report_offset_db": "0.0"}
    for method, bearer in (("digital_seed", "ldpc"), ("seed", "analog")):
        error = mean_of(
            "seed-coding", "mse", method=method, bearer=bearer, content="scene", report_error_db="0.0", **cell
        )
        assert f"{-10 * log10(error):.1f} dB" in README, method


def test_sentences_of_readme_below_its_table_say_what_the_published_runs_do() -> None:
    """What is said of analog seeds, of emoji and of photographs, with as many digits as stand there."""
    found = re.search(r"`seed` has\s30 dB on the median picture with ([\d,]+) / ([\d,]+) uses at 5 / 10 dB", README)
    assert found is not None
    median = [metrics_of("seed-coding")[f"uses_for_30db.seed.{snr}db.median"] for snr in (5, 10)]
    assert [f"{uses:,.0f}" for uses in median] == list(found.groups())
    emoji = metrics_of("seed-coding-emoji")
    shares = sorted(emoji[f"share_of_best_image_codec.{snr}db"] for snr in (5, 10))
    vvc = [emoji[f"uses_for_30db.vvc.{snr}db"] for snr in (5, 10)]
    assert vvc == [emoji[f"uses_for_30db.best_image_codec.{snr}db"] for snr in (5, 10)]
    assert f"emoji take {shares[0]:.1f} to {shares[1]:.1f} of VVC's uses" in README
    photographs = metrics_of("photographs")
    behind = [-x for name, x in photographs.items() if name.startswith("psnr_db_over_vvc.seed.")]
    assert f"and {min(behind):.0f} to {max(behind):.1f} dB behind in PSNR" in README


def test_readme_has_a_line_per_folder() -> None:
    tree = README[README.index("## What is where") :]
    packages = {path.parent.name for path in (ROOT / "src/gainnet").glob("*/__init__.py")}
    folders = {"web", "tests", "examples", "benchmarks", "docs", "results"}
    assert {name for name in packages | folders if not re.search(rf"^    +{name}/ +\S", tree, re.MULTILINE)} == set()


def links_of(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", page.read_text())):
        if not target.startswith(("http:", "https:", "#")):
            yield target.split("#")[0]


def test_what_pages_link_to_exists() -> None:
    pages = [*PAGES, RESULTS / "README.md"]
    missing = [(page.name, to) for page in pages for to in links_of(page) if not (page.parent / to).exists()]
    assert missing == []


def test_every_study_is_in_the_list_of_studies() -> None:
    listed = re.findall(
        r"^\| `([\w-]+)` \| .*\| `gainnet study run ", (ROOT / "docs/reproduce.md").read_text(), re.MULTILINE
    )
    assert set(listed) == {path.stem for path in (ROOT / "src/gainnet/studies/catalog").glob("*.toml")}
    assert len(listed) == len(set(listed))


def test_every_published_figure_is_in_the_gallery() -> None:
    """A new figure takes a place in docs/gallery.md: what it shows in two sentences, and the command of its study."""
    gallery = (ROOT / "docs/gallery.md").read_text()
    shown = set(re.findall(r"\]\(\.\./(results/[^)]+)\)", gallery))
    figures = {str(path.relative_to(ROOT)) for path in RESULTS.glob("*/*/figures/*.png")}
    assert figures - shown == set()
    for study in studies_with_figures():
        assert re.search(rf"^    .*gainnet study run {study} --full", gallery, re.MULTILINE), study


def test_h10_figures_and_pages_call_a_codec_as_the_command_line_does() -> None:
    from gainnet.codecs import CODECS
    from gainnet.studies.codec_labels import CODEC_OF_METHOD, SEED_LABELS

    assert set(CODEC_OF_METHOD.values()) <= set(SEED_LABELS) <= set(CODECS["seed"])
    assert [label.partition(",")[0] for label in SEED_LABELS.values()] == list(SEED_LABELS)
    shown = [*PAGES, RESULTS / "README.md", *RESULTS.glob("*/*/figures/*.svg"), *(ROOT / "src").rglob("*.py")]
    # `digital` is a codec of its own: whoever means `transform` by "digital seed" misleads.
    other = re.compile(r"\b(?:PCA|digital|quantised|learned analog) seed\b", re.IGNORECASE)
    assert {str(path.relative_to(ROOT)): found for path in shown if (found := other.findall(path.read_text()))} == {}
    explained = [page.name for page in PAGES if "`pca_seed`" in page.read_text()]
    assert explained == ["seeds.md"]


def studies_with_figures() -> list[str]:
    return sorted({path.parts[-4] for path in RESULTS.glob("*/*/figures/*.png")})


def test_h16_the_page_on_installing_has_whole_commands_and_names_every_platform() -> None:
    page = (ROOT / "docs/installing.md").read_text()
    assert [line for line in INDENTED.findall(page) if "..." in line or "…" in line] == []
    for platform in ("3.11 to 3.13", "Windows", "macOS", "GPU", "Docker", "conda", "Colab"):
        assert platform in page, platform
    assert 'requires-python = ">=3.11,<3.14"' in (ROOT / "pyproject.toml").read_text()


def test_m5_a_narrow_screen_stacks_pictures_and_has_labels_above_bars() -> None:
    from gainnet.generation.page import STYLE

    assert (
        ".row { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem)"
        in (PACKAGE / "core/page.html").read_text()
    )
    narrow = STYLE[STYLE.index("@media (max-width: 44rem)") :]
    assert ".track { grid-row: 2; grid-column: 1 / -1 }" in narrow


@pytest.mark.parametrize("page", ["equations", "glossary"])
def test_names_of_code_on_a_page_exist(page: str) -> None:
    names = set(re.findall(r"`(gainnet(?:\.\w+)+)`", (ROOT / f"docs/{page}.md").read_text()))
    assert [name for name in sorted(names) if not is_found(name)] == []


def is_found(name: str) -> bool:
    """Whether a dotted name is a module, something in one, or a method; nothing is imported for it."""
    parent, _, last = name.rpartition(".")
    if home_of(name) is not None or PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py").exists():
        return True
    above = home_of(parent) if parent.count(".") else None
    methods = above[1].body if above is not None and isinstance(above[1], ast.ClassDef) else []
    return any(isinstance(method, ast.FunctionDef) and method.name == last for method in methods)


COMMAND = re.compile(r"^(?: {4,}|\$ )(?:\w+=\S+ )*(gainnet [^\n]*)$", re.MULTILINE)


def commands_of(page: Path) -> Iterator[list[str]]:
    """Commands of a page as words, without comments, what they are piped into, and what a reader puts in."""
    for line in COMMAND.findall(page.read_text().replace("\\\n", " ")):
        words = shlex.split(line, comments=True)
        ends = [index for index, word in enumerate(words) if word in ("&", "|", "&&", ">", "<")]
        yield words[: min(ends, default=len(words))]


def unknown_words(command: Command, words: list[str]) -> list[str]:
    """The first word that names no command, or the options that the command does not have."""
    while isinstance(command, Group) and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return words[:1]
        command, words = command.commands[words[0]], words[1:]
    # With the settings of the command: it keeps the help option that it made first, for the tests that come later.
    context = Context(command, **command.context_settings)
    known = {option for each in command.get_params(context) for option in (*each.opts, *each.secondary_opts)}
    return [option for word in words if word.startswith("--") and (option := word.split("=")[0]) not in known]


def test_commands_on_pages_exist_with_their_options() -> None:
    wrong = [
        (page.name, " ".join(words), unknown)
        for page in [*PAGES, RESULTS / "README.md"]
        for words in commands_of(page)
        if (unknown := unknown_words(app, words[1:]) or lacks_prompt(words[1:]))
    ]
    assert wrong == []


def lacks_prompt(words: list[str]) -> list[str]:
    """A command that draws or prices pictures without saying which: it is refused as it stands on the page."""
    # A prompt is the first word behind the command, as pages write it; "..." stands for what a reader had before.
    draws = words[:1] in (["generate"], ["estimate"]) and len(words) > 1
    return words[:1] if draws and words[1].startswith("--") and "--prompts" not in words else []


API = sorted((ROOT / "docs/api").rglob("*.md"))
PACKAGE = ROOT / "src/gainnet"
MIN_EXAMPLE_LINES = 1000
Home = tuple[Path, ast.stmt]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def targets_of(page: Path) -> list[str]:
    return re.findall(r"^::: (gainnet\.\S+)$", page.read_text(), re.MULTILINE)


def home_of(target: str) -> Home | None:
    """The file and the statement that define what a dotted name means; `None` of a package or where there is none."""
    *rooms, name = target.split(".")[1:]
    place = PACKAGE.joinpath(*rooms)
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    for node in tree_of(path).body if path.exists() else ():
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return path, node
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return path, node
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gainnet."):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return home_of(f"{node.module}.{alias.name}")
    return None


def exported_by(package: str) -> set[str]:
    """Names in `__all__`; tables of names, in capitals, are for lookups and stand in no page."""
    lists = [node for node in tree_of(PACKAGE / package / "__init__.py").body if isinstance(node, ast.Assign)]
    names = {
        name for node in lists if ast.unparse(node.targets[0]) == "__all__" for name in ast.literal_eval(node.value)
    }
    return {
        name for name in names if not re.fullmatch(r"[A-Z][A-Z_]+", name) or name in ("AVIF", "AWGN", "JPEG", "PNG")
    }


def test_m6_the_reference_has_every_public_name_once_and_no_other() -> None:
    homes: dict[tuple[Path, int], str] = {}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"cli"}
    for page in API:
        for target in targets_of(page):
            if target.removeprefix("gainnet.") in packages:
                continue
            home, name = home_of(target), target.rpartition(".")[2]
            assert home is not None, f"{target} on {page.name} is not there"
            assert not name.startswith("_")
            place = (home[0], home[1].lineno)
            assert place not in homes, f"{target} stands on {homes[place]}, too"
            homes[place] = page.name
    for package in sorted(packages):
        exported = {f"gainnet.{package}.{name}" for name in exported_by(package)}
        found = {name: home_of(name) for name in exported}
        lacking = [name for name, home in found.items() if home and (home[0], home[1].lineno) not in homes]
        assert lacking == [], "give them a page in docs/api"


def has_example(node: ast.stmt) -> bool:
    """Whether the docstring of a function or class, or of one of its methods, has an example."""
    below = node.body if isinstance(node, ast.ClassDef) else []
    described = [each for each in (node, *below) if isinstance(each, ast.ClassDef | ast.FunctionDef)]
    return any(">>> " in (ast.get_docstring(each) or "") for each in described)


def test_every_page_of_the_reference_has_an_example_and_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text()
    for page in API:
        assert f"api/{page.relative_to(ROOT / 'docs/api').as_posix()}" in menu
        if page.stem != "index":
            homes = [home for target in targets_of(page) if (home := home_of(target))]
            assert any(has_example(node) for _, node in homes), f"{page}: no name has an example"


def test_examples_do_more_than_import() -> None:
    """Lines of examples in docstrings, without those that begin with an import."""
    lines = [line.strip() for path in PACKAGE.rglob("*.py") for line in path.read_text().split("\n")]
    examples = [line for line in lines if line.startswith((">>> ", "... "))]
    imports = [line for line in examples if line.startswith((">>> import ", ">>> from "))]
    assert len(examples) - len(imports) >= MIN_EXAMPLE_LINES
