"""Descriptions of packages: read as Debian's tools write them, by section or maintainer, learned by clients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gainnet.catalog.learning import config_of, open_session, read_texts
from gainnet.core.errors import ConfigError
from gainnet.models.package_text import OTHER, Package, descriptions_of, read_packages, split_descriptions

SECTIONS = {"net": "mail reader server daemon", "games": "puzzle arcade chess board", "libs": "shared runtime parsing"}


def written(num_packages: int = 200) -> str:
    """Stanzas of packages in three sections and a rare one, as `apt-cache dumpavail` has them."""
    rng, stanzas = np.random.default_rng(0), []
    for index in range(num_packages):
        section = "rare" if index % 50 == 0 else list(SECTIONS)[index % 3]
        words = SECTIONS.get(section, "odd").split()
        line = f"{rng.choice(words)} {rng.choice(words)} for number {index}"
        stanzas.append(
            f"Package: p{index}\nVersion: 1\nMaintainer: Team {index % 7} <t@x>\nDepends: libc6 (>= 2.34),\n libx\n"
            f"Description: {line}\n It has a longer part.\n .\n And its end.\nSection: contrib/{section}\n"
        )
    return "\n".join(stanzas)


def test_stanzas_are_read() -> None:
    packages = read_packages(written() + "\nPackage: silent\nSection: net\n")
    assert len(packages) == 200
    assert packages[1].section == "games"
    assert packages[1].maintainer == "Team 1"
    assert packages[1].description.endswith("for number 1 It has a longer part. And its end.")


def test_rare_groups_are_one_and_equal_lines_stand_once() -> None:
    packages = [
        *read_packages(written()),
        Package("twin", "libs", "Ann", "a line"),
        Package("other", "net", "B", "a line"),
    ]
    sections = descriptions_of(packages, "section", 20)
    assert set(sections) == {*SECTIONS, OTHER}
    assert list(sections)[-1] == OTHER
    assert sections["libs"][-1] == "a line"
    assert sum(len(texts) for texts in sections.values()) == 201
    assert set(descriptions_of(packages, "maintainer", 20)) == {f"Team {i}" for i in range(7)} | {OTHER}
    train, test = split_descriptions(sections)
    assert not {text for texts in train for text in texts} & set(test)
    assert sum(map(len, train)) + len(test) == 201


@pytest.mark.slow
def test_clients_learn_from_a_file_of_packages(tmp_path: Path) -> None:
    """Sections are kinds of text: with much skew a client has hardly more than one of them."""
    path = tmp_path / "packages"
    path.write_text(written())
    kinds, test = read_texts(path)
    assert (len(kinds), len(test)) == (4, 18)
    settings = {"algorithm": "lora", "texts": str(path), "clients": 3, "rounds": 1, "row_length": 8, "link": "ideal"}
    session = open_session(config_of({**settings, "num_steps": 1, "batch_size": 2, "skew": 0.01}))
    assert len(session.clients) == 3
    assert len(session.run().rounds) == 1


def test_too_few_packages_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "packages"
    path.write_text(written(4))
    with pytest.raises(ConfigError, match=r"^texts: .* describes too few packages to test on one; give at least 10"):
        read_texts(path)
