"""A package of one's own from the texts beside this file: a module, a test of its contract, and how to use it."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Final, final

from gainnet.core.errors import ConfigError, check_name
from gainnet.core.files import write_folder, write_whole

TEXTS: Final = Path(__file__).parent
_MODULE: Final = "[a-z][a-z0-9_]{0,63}"


@final
@dataclass(frozen=True)
class Kind:
    """A kind of package, and how what it holds is called and used.

    Args:
        title: of the thing, for people.
        group: entry points under which an installed package offers it.
        use: command that uses it, a template of `$name` and `$object`.
        named: template of the name of the object in the module, of `$name`, `$camel` and `$upper`.
    """

    title: str
    group: str
    use: str
    named: str = "$camel"

    def object_of(self, name: str) -> str:
        """Name of the object in the module of a package.

        >>> KINDS["codec"].object_of("half_floats"), KINDS["study"].object_of("deep_fades")
        ('HalfFloats', 'DEEP_FADES')
        """
        camel = "".join(part.capitalize() for part in name.split("_"))
        return Template(self.named).substitute(name=name, camel=camel, upper=name.upper())


KINDS: Final = MappingProxyType(
    {
        "codec": Kind(
            "A codec of seeds",
            "gainnet.codec.seed",
            'gainnet generate "a yellow star" --codec seed=$name:$object',
        ),
        "channel": Kind("A channel", "gainnet.fading", 'gainnet generate "a yellow star" --fading $name:$object'),
        "protocol": Kind(
            "A protocol", "gainnet.protocol", 'gainnet generate "a yellow star" --protocol "$name:$object(cut=4)"'
        ),
        "policy": Kind(
            "A policy of orchestration", "gainnet.policy", "gainnet orchestrate --policy $name:$object --out out/street"
        ),
        "model": Kind(
            "A model",
            "gainnet.model",
            'gainnet generate "a yellow star" --model "$name:$object(num_steps=6)"',
            "make_$name",
        ),
        "study": Kind("A study", "gainnet.study", "gainnet study run $name:$object", "$upper"),
    }
)
"""Kind -> how it is called and used."""


def write_starter(kind: str, name: str, parent: Path = Path()) -> Path:
    """The folder `parent/name` of a package that runs and whose test passes as it is.

        name/pyproject.toml, README.md
        name/src/name/__init__.py     what is begun
        name/tests/test_name.py       its contract

    Args:
        kind: one of `KINDS`.
        name: of folder and module: lower-case letters, digits and underscores, a letter first.
        parent: folder that it is written into.

    Raises:
        ConfigError: no such kind, no name of a module, or the folder is there already.

    >>> import tempfile
    >>> folder = write_starter("codec", "half_floats", Path(tempfile.mkdtemp()))
    >>> sorted(str(path.relative_to(folder)) for path in folder.rglob("*.py"))
    ['src/half_floats/__init__.py', 'tests/test_half_floats.py']
    """
    check_name("kind", kind, KINDS)
    _check_module(name)
    folder = parent / name
    if folder.exists():
        raise ConfigError(f"name: {folder} is there already; give another name or remove it")
    values = _values(KINDS[kind], name)
    files = {
        "pyproject.toml": "pyproject",
        "README.md": "readme",
        f"src/{name}/__init__.py": kind,
        f"tests/test_{name}.py": f"{kind}_test",
    }
    if kind == "study":
        files[f"src/{name}/{values['dashed']}.toml"] = "study_toml"

    def fill(new: Path) -> None:
        for place, text in files.items():
            (new / place).parent.mkdir(parents=True, exist_ok=True)
            filled = Template((TEXTS / f"{text}.txt").read_text(encoding="utf-8")).substitute(values)
            write_whole(new / place, filled.encode())

    return write_folder(folder, fill)


def _check_module(name: str) -> None:
    # A module called like one that is imported would hide it: `torch` in the working folder is found first.
    taken = keyword.iskeyword(name) or name in {"gainnet", "torch", "numpy", "test", "tests"}
    if re.fullmatch(_MODULE, name) is None or taken:
        # `MyCodec` and `my-codec` are how classes and packages are called.
        plain = re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
        meant = f"did you mean {plain}? " if plain != name and re.fullmatch(_MODULE, plain) else ""
        raise ConfigError(
            f"name: {name!r} is no name of a new module; {meant}give lower-case letters, digits and underscores"
        )


def _values(kind: Kind, name: str) -> dict[str, str]:
    named = {"name": name, "object": kind.object_of(name), "dashed": name.replace("_", "-")}
    use = Template(kind.use).substitute(named)
    return {**named, "title": kind.title, "group": kind.group, "use": use}
