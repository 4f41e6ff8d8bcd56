"""Rules of the house that no linter looks at: names, docstrings, exports, safe files, a light front door."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Collection, Iterator
from functools import cache
from pathlib import Path

import pytest

import gainnet

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "gainnet"
SOURCES = sorted(PACKAGE.rglob("*.py"))
PACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
BANNED_WORDS = {
    "manager", "handler", "helper", "helpers", "util", "utils", "base", "wrapper", "data", "info", "process", "do",
}  # fmt: skip
BANNED_ROOMS = BANNED_WORDS | {"common", "shared"}
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {"torch.load", "torch.save", "pandas.read_pickle", "pd.read_pickle", "numpy.fromfile", "eval", "exec"}
HEAVY_MODULES = {
    "torch", "sionna", "diffusers", "transformers", "accelerate", "torchmetrics", "matplotlib", "pandas", "scipy",
}  # fmt: skip
MODEL_LIMIT_BYTES = 16e6
MAX_FUNCTION_LINES = 60


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


# Several tests look at every node of every source, and walking a tree takes longer than looking.
@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree_of(path)))


def definitions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in nodes_of(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node


def words_of(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+\d*", name)}


def findings(find: Callable[[Path], Collection[str]]) -> dict[str, Collection[str]]:
    """What is found in every source where something is, by its path."""
    found = {str(path.relative_to(PACKAGE)): find(path) for path in SOURCES}
    return {path: each for path, each in found.items() if each}


def test_no_name_is_an_empty_word() -> None:
    def empty_words(path: Path) -> list[str]:
        names = [node.name for node in definitions(path)]
        return [*(words_of(path.stem) & BANNED_ROOMS), *(name for name in names if words_of(name) & BANNED_WORDS)]

    assert findings(empty_words) == {}


def test_everything_public_says_what_it_is() -> None:
    def undescribed(path: Path) -> list[str]:
        tree = tree_of(path)
        public = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and not n.name.startswith("_")]
        described = [node for node in public if "overload" not in map(ast.unparse, node.decorator_list)]
        lacking = [node.name for node in described if not ast.get_docstring(node)]
        return lacking if path.stem.startswith("__main__") or ast.get_docstring(tree) else ["the module", *lacking]

    assert findings(undescribed) == {}


def test_docstrings_begin_with_their_subject() -> None:
    def riddles(path: Path) -> list[str]:
        described = [tree_of(path), *definitions(path)]
        return [text for node in described if (text := ast.get_docstring(node) or "").startswith("What")]

    assert findings(riddles) == {}


ARRAY = re.compile(r"\b(Tensor|NDArray|ndarray|Doubles|Integers|Pixels)\b")
COLLECTION = re.compile(r"Callable|Mapping|dict\[")
SHAPE = re.compile(r"\[[^\]\n`'\"]*\]|\b[Aa]rguments (are )?(as|of)\b|likewise")
SHAPELESS = {
    "learning/attack.py": {"Coded.__call__", "Noisy.__call__"},
    "learning/config.py": {"Session"},
    "learning/fedavg.py": {"plain_step"},
    "learning/fsl.py": {"integers_of"},
    "learning/loop.py": {"train_centrally"},
    "learning/poisoning.py": {"GaussianUpdate.__call__"},
    "protocols/deadline.py": {"expected_in_time"},
    "studies/air/gains.py": {"estimation", "power_peaks"},
    "studies/image_quality/material.py": {"Material.judge"},
    "studies/sketch.py": {"judge"},
}
"""Callables that do not name the shapes of their arrays yet; the list only shrinks."""


def names_a_shape(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether the docstring has a shape in brackets, or refers to one that has; examples do not count."""
    lines = (ast.get_docstring(node) or "").split("\n")
    return bool(SHAPE.search("\n".join(line for line in lines if not line.strip().startswith((">>>", "...")))))


def is_array(annotation: ast.expr | None) -> bool:
    text = "" if annotation is None else ast.unparse(annotation)
    return bool(ARRAY.search(text)) and not COLLECTION.search(text)


def takes_arrays(node: ast.FunctionDef | ast.ClassDef) -> bool:
    if isinstance(node, ast.ClassDef):
        fields = [field for field in node.body if isinstance(field, ast.AnnAssign)]
        return any(is_array(field.annotation) and not ast.unparse(field.target).startswith("_") for field in fields)
    return any(is_array(each.annotation) for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs))


def methods_of(node: ast.ClassDef) -> Iterator[ast.FunctionDef]:
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and (method.name in ("__init__", "__call__") or method.name[0] != "_"):
            yield method


def contract_methods() -> set[str]:
    """Methods whose shapes stand in a contract, so that implementations need not repeat them."""
    classes = (n for path in SOURCES for n in nodes_of(path) if isinstance(n, ast.ClassDef))
    contracts = (n for n in classes if any("Protocol" in ast.unparse(base) for base in n.bases))
    return {method.name for contract in contracts for method in methods_of(contract) if names_a_shape(method)}


def test_every_array_has_its_shape_in_the_docstring() -> None:
    """Public functions, methods and records say the shape of tensors that they take; units are in the names."""
    documented = contract_methods() | {"forward"}
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        lacking = set()
        for node in tree_of(path).body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            if "overload" in map(ast.unparse, node.decorator_list):
                continue
            if takes_arrays(node) and not names_a_shape(node):
                lacking.add(node.name)
            for method in methods_of(node) if isinstance(node, ast.ClassDef) else ():
                inherits = method.name in documented and (
                    method.name != "__call__" or ast.get_docstring(method) is None
                )
                of_class = method.name in ("__init__", "forward", "__call__") and names_a_shape(node)
                if takes_arrays(method) and not (inherits or of_class or names_a_shape(method)):
                    lacking.add(f"{node.name}.{method.name}")
        if lacking - SHAPELESS.get(str(path.relative_to(PACKAGE)), set()):
            found[str(path.relative_to(PACKAGE))] = lacking
    assert found == {}


def test_functions_are_short() -> None:
    def long(path: Path) -> list[str]:
        functions = [node for node in definitions(path) if not isinstance(node, ast.ClassDef)]
        return [node.name for node in functions if (node.end_lineno or 0) - node.lineno > MAX_FUNCTION_LINES]

    assert findings(long) == {}


def test_nothing_unpickles() -> None:
    def unsafe(path: Path) -> set[str]:
        imported, called = set(), set()
        for node in nodes_of(path):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
            elif isinstance(node, ast.Call):
                called.add(ast.unparse(node.func))
                called |= {"allow_pickle" for word in node.keywords if allows_pickle(word)}
        return (imported & UNSAFE_MODULES) | (called & (UNSAFE_CALLS | {"allow_pickle"}))

    assert findings(unsafe) == {}


def allows_pickle(word: ast.keyword) -> bool:
    return word.arg == "allow_pickle" and ast.unparse(word.value) != "False"


def exports_of(tree: ast.Module) -> tuple[list[str], set[str]]:
    """What a package lists in `__all__`, and the public names of ours that it has."""
    exported: list[str] = []
    public: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gainnet"):
            public |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            public.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])
            if target == "__all__":
                exported = ast.literal_eval(ast.unparse(node.value or ast.Constant(None)))
            else:
                public.add(target)
    return exported, {name for name in public if not name.startswith("_")}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_exports_exactly_what_it_names(package: str) -> None:
    """Every public name is exported; only where functions or classes are at home, imports may serve them alone."""
    tree = tree_of(PACKAGE / package / "__init__.py")
    exported, public = exports_of(tree)
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    at_home = any(not name.startswith("_") for name in defined)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert len(exported) == len(set(exported))
    assert set(exported) - public == set()
    assert public - set(exported) - (used - defined if at_home else set()) == set()


def test_h11_the_front_door_offers_what_it_lists() -> None:
    """`gainnet` loads a name when it is first used, and shows all of them."""
    assert gainnet.__all__ == sorted(gainnet._HOME)
    assert {*gainnet.__all__, "__version__"} <= set(dir(gainnet))
    assert re.fullmatch(r"\d+\.\d+\.\d+", gainnet.__version__)
    for name, home in gainnet._HOME.items():
        assert getattr(gainnet, name) is getattr(importlib.import_module(home), name)
    with pytest.raises(AttributeError, match="telepathy"):
        gainnet.telepathy  # noqa: B018


def test_h11_type_checkers_see_the_same_front_door() -> None:
    """The imports for type checkers name the modules from which names are really loaded."""
    tree = tree_of(PACKAGE / "__init__.py")
    typed = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in typed.body if isinstance(node, ast.ImportFrom)]
    assert {alias.asname: node.module for node in imports for alias in node.names} == gainnet._HOME
    assert all(alias.name == alias.asname for node in imports for alias in node.names)


def test_the_front_door_is_light() -> None:
    """`gainnet --help` loads nothing that takes seconds."""
    code = "import sys, gainnet.cli; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src")
    assert set(loaded.stdout.split()) & HEAVY_MODULES == set()


def test_nothing_phones_home_from_python_either() -> None:
    """Libraries read their switches when they are imported, so that `import gainnet` sets them."""
    switches = {"HF_HUB_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY"}
    code = "import os, gainnet; print(*sorted(name for name in os.environ if 'TELEMETRY' in name))"
    bare = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src", env=bare
    )
    assert switches <= set(found.stdout.split())


def test_what_is_shipped_is_source_or_a_safe_file() -> None:
    safe = {
        ".py",
        ".typed",
        ".toml",
        ".json",
        ".safetensors",
        ".onnx",
        ".md",
        ".txt",
        ".csv",
        ".html",
        ".js",
        ".css",
        ".svg",
        ".xz",
        ".mplstyle",
    }
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path.name for path in files if path.suffix not in safe} == set()


def test_the_shipped_model_is_small() -> None:
    scenes = (PACKAGE / "models" / "pretrained" / "scenes").rglob("*.safetensors")
    assert sum(path.stat().st_size for path in scenes) <= MODEL_LIMIT_BYTES


@pytest.mark.parametrize("package", sorted(set(PACKAGES) - {"cli"}))
def test_every_package_has_its_page(package: str) -> None:
    assert f"::: gainnet.{package}\n" in (ROOT / "docs" / "api" / package / "index.md").read_text()
    assert f"api/{package}/index.md" in (ROOT / "mkdocs.yml").read_text()


def test_one_version_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
