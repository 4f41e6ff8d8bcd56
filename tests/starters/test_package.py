"""Packages to begin with: every kind's test passes as it is, and wrong names are refused in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gainnet.core.errors import ConfigError
from gainnet.starters import KINDS, write_starter

SOURCE = Path(__file__).parents[2] / "src"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_its_own_test_passes_at_once(kind: str, tmp_path: Path) -> None:
    folder = write_starter(kind, "begun", tmp_path)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(("src", str(SOURCE)))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_an_installed_package_offers_it_by_name(kind: str, tmp_path: Path) -> None:
    folder = write_starter(kind, "begun", tmp_path)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    module = (folder / "src" / "begun" / "__init__.py").read_text()
    (offered,) = project["entry-points"][KINDS[kind].group].values()
    assert offered == f"begun:{KINDS[kind].object_of('begun')}"
    assert any(f"{word} {offered.split(':')[1]}" in module for word in ("class", "def")) or kind == "study"
    compile(module, "begun", "exec")


@pytest.mark.parametrize("name", ["", "2d", "My", "a-b", "../out", "class", "torch", "a" * 65])
def test_names_that_are_no_modules_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give lower-case letters"):
        write_starter("codec", name, tmp_path)
    assert not any(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    write_starter("channel", "mine", tmp_path)
    with pytest.raises(ConfigError, match="there already"):
        write_starter("codec", "mine", tmp_path)
    with pytest.raises(ConfigError, match="did you mean codec"):
        write_starter("codek", "other", tmp_path)


def test_the_name_of_a_class_becomes_that_of_a_module(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean my_codec\? give lower-case"):
        write_starter("codec", "MyCodec", tmp_path)
