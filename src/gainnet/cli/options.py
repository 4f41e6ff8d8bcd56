"""Commands whose options, with types, defaults and help, are generated from a function and from records.

    def show(name: str, *, out: Path = Path("out")) -> None     name is an argument, --out an option
    @command("show", Fields("my_module:MyRecord"))              every field of the record is an option, too

The help of an option is its line in the docstring; a function that offers a record gets an `Asked` of it first.
"""

from __future__ import annotations

import importlib
import logging
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Union, final, get_args, get_origin

import click
from click.core import ParameterSource
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from gainnet.catalog.parameters import REQUIRED, Parameter, parameters_of, section_of, summary_of
from gainnet.core.errors import ConfigError

SHORTER: Final = {"as_json": "json", "num_candidates": "candidates", "domains": "domain", "num_rounds": "rounds"}
"""Options that are not called as their field."""

SETTINGS: Final = {"help_option_names": ["-h", "--help"], "token_normalize_func": str.lower}
"""Of every group and command: help by either name, and commands, options and choices in any case."""

EVERYWHERE: Final = "Everywhere"
"""Panel of the options that every command has."""

PANELS: Final = dict.fromkeys(("out", "show", "as_json"), "Output") | dict.fromkeys(
    ("spare", "decide", "max_latency_s", "max_energy_j", "min_psnr_db"), "Decision"
)
"""Panels of options of functions by name; those of records are in `Fields`."""

LEVELS: Final = ("debug", "info", "warning", "error")

ALSO: Final = {"torch_device": "device"}
"""Second names of options."""


class Usual(NamedTuple):
    """A default that depends on other options: the value is `None` when the option is left out.

    Args:
        text: shown as the default.
    """

    text: str


class Asked(NamedTuple):
    """Options of one record.

    Args:
        values: by field, defaults included.
        given: fields that were given, rather than left at their default.
    """

    values: dict[str, Any]
    given: frozenset[str]

    @property
    def chosen(self) -> dict[str, Any]:
        """Values of the fields that were given."""
        return {name: value for name, value in self.values.items() if name in self.given}


@final
@dataclass(frozen=True)
class Fields:
    """Fields of a record that a command offers as options.

    Args:
        record: `module:Name` of a dataclass, which is imported when the options are needed.
        names: of the fields, in order; all when empty.
        without: fields that are not offered.
        defaults: other defaults than the record's, and a `Usual` where none can be named.
        called: names of options that are not called as their field.
        panels: names of fields by the panel of the help that shows them.
    """

    record: str
    names: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    called: Mapping[str, str] = field(default_factory=dict)
    panels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def parameters(self) -> list[Parameter]:
        """Those of the record that are offered."""
        module, _, name = self.record.partition(":")
        known = parameters_of(getattr(importlib.import_module(module), name))
        # In the order of the command where it lists names, which is that of its help; else in that of the record.
        return [known[name] for name in self.names or known if name not in self.without]

    def option(self, parameter: Parameter) -> click.Parameter:
        """One of them as an option."""
        name = parameter.name
        panel = next((panel for panel, names in self.panels.items() if name in names), None)
        called = self.called.get(name, SHORTER.get(name, name))
        return _option(parameter, called, self.defaults.get(name, parameter.default), panel)


def group(name: str, text: str, *commands: click.Command) -> TyperGroup:
    """A group of commands, in the order of its help.

    Args:
        name: of the group.
        text: its help.
        commands: of the group, which may be groups themselves.
    """
    known = {each.name or "": each for each in commands}
    # Our own errors suggest the nearest name; two suggestions would contradict each other.
    return TyperGroup(
        name=name, help=text, commands=known, no_args_is_help=True, rich_markup_mode="rich", suggest_commands=False,
        context_settings=SETTINGS, epilog=next((each.epilog for each in commands if each.epilog), None),
    )  # fmt: skip


def in_panel(title: str, *commands: Command | TyperGroup) -> tuple[Command | TyperGroup, ...]:
    """Commands that the help of their group shows together.

    Args:
        title: of the panel.
        commands: of it, in order.
    """
    for each in commands:
        each.rich_help_panel = title
    return commands


def command(name: str, *records: Fields) -> Callable[[Callable[..., None]], Command]:
    """Makes a command of a function.

    Args:
        name: of the command.
        records: that it offers as options; the function's first arguments are an `Asked` for each.
    """
    return lambda function: Command(name, function, records)


def commanding(root: Command, *commands: click.Command) -> TyperGroup:
    """A command that has commands of its own: when none of them is named, it runs itself.

    Args:
        root: the command.
        commands: of it, which may be groups.
    """
    return _Commanding(root, commands)


@final
class Command(TyperCommand):
    """A command that makes its options when they are first needed, since some records take seconds to import."""

    def __init__(self, name: str, function: Callable[..., None], records: Sequence[Fields]) -> None:
        example = section_of(function, "Example")
        super().__init__(
            name, callback=self.call, help=summary_of(function), rich_markup_mode="rich", context_settings=SETTINGS,
            epilog=f"Example: {_plain_text(example)}" if example else None,
        )  # fmt: skip
        self._function = function
        self._records = records

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Arguments first, then options of the records, then the function's own."""
        # Not in the constructor: `gainnet --help` would import every record, torch included.
        if not self.params:
            own = list(parameters_of(self._function).values())[len(self._records) :]
            arguments = [_argument(each) for each in own if each.positional]
            shared = [record.option(each) for record in self._records for each in record.parameters()]
            options = [
                _option(each, SHORTER.get(each.name, each.name), each.default, PANELS.get(each.name)) for each in own
            ]
            self.params = [
                *arguments,
                *shared,
                *(o for o, each in zip(options, own, strict=True) if not each.positional),
                *everywhere(is_hidden=True),
            ]
        return super().get_params(ctx)

    def call(self, **values: Any) -> None:
        """Runs it with options as click has read them."""
        context = click.get_current_context()
        # A value that equals the default may have been typed, and then it must not be without effect.
        given = {name for name in values if context.get_parameter_source(name) is not ParameterSource.DEFAULT}
        kinds = {each.name: each.kind for record in self._records for each in record.parameters()}
        kinds |= {name: each.kind for name, each in parameters_of(self._function).items()}
        read = {name: _value(name, value, kinds[name]) for name, value in values.items()}
        names = [[each.name for each in record.parameters()] for record in self._records]
        asked = [Asked({name: read.pop(name) for name in own}, frozenset(given & set(own))) for own in names]
        self._function(*asked, **read)


@final
class _Commanding(TyperGroup):
    """A group with the options of a command, which it runs when it stands alone."""

    def __init__(self, root: Command, commands: Sequence[click.Command]) -> None:
        super().__init__(
            name=root.name, help=root.help, commands={each.name or "": each for each in commands},
            callback=self._call, invoke_without_command=True, rich_markup_mode="rich", suggest_commands=False,
            context_settings=SETTINGS, epilog=root.epilog,
        )  # fmt: skip
        self._root = root

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Those of the command, made when they are first needed."""
        return self._root.get_params(ctx)

    def _call(self, **values: Any) -> None:
        context = click.get_current_context()
        if context.invoked_subcommand is None:
            return self._root.call(**values)
        given = [name for name in values if context.get_parameter_source(name) is not ParameterSource.DEFAULT]
        # Written before the subcommand, an option would be read and then silently lost.
        if given:
            raise ConfigError(f"{given[0]}: {context.invoked_subcommand} has no use for it here; write it behind")
        return None


def everywhere(is_hidden: bool) -> list[click.Parameter]:
    """Options that every command takes, before its name and after it.

    Args:
        is_hidden: whether help leaves them out, as it does below the first group.
    """
    shown: Any = {"expose_value": False, "is_eager": True, "hidden": is_hidden, "rich_help_panel": EVERYWHERE}
    level = TyperOption(
        param_decls=["--log-level"],
        type=click.Choice(LEVELS),
        callback=_log,
        help="Log events of this level and above.",
        **shown,
    )
    debug = TyperOption(
        param_decls=["--debug"], is_flag=True, help="Show the traceback of an error, too.", **shown
    )  # fmt: skip
    return [level, debug]


def _log(context: click.Context, option: click.Parameter, level: str | None) -> None:
    if level is not None:
        # On standard error, since standard output may be one JSON object.
        logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", force=True)
        # Ours alone: at this level matplotlib writes pages about its fonts.
        logging.getLogger("gainnet").setLevel(level.upper())


def _argument(parameter: Parameter) -> click.Parameter:
    required = parameter.default is REQUIRED
    default = None if required else parameter.default
    kind = _click_type(_plain(parameter.kind))
    made = TyperArgument(param_decls=[parameter.name], type=kind, required=required, default=default)
    made.help = _sentence(parameter.text)  # click 8.5 forgets what it was given
    return made


def _option(parameter: Parameter, called: str, default: Any, panel: str | None = None) -> click.Parameter:
    kind = _plain(parameter.kind)
    is_many = get_origin(kind) in (tuple, Mapping)
    names = [called, *(ALSO[name] for name in [parameter.name] if name in ALSO)]
    declared = [parameter.name, *("--" + name.replace("_", "-") for name in names)]
    shown: Any = {
        "required": default is REQUIRED,
        "default": None if default is REQUIRED or isinstance(default, Usual) else default,
        "show_default": default.text if isinstance(default, Usual) else _shown(default),
        "help": _sentence(parameter.text),
        "rich_help_panel": panel,
    }
    # click shows an empty tuple as a default of "()", and `None` as none.
    if is_many:
        shown["default"] = tuple(shown["default"] or ()) or None
    if kind is bool:
        return TyperOption(param_decls=declared, is_flag=True, **shown)
    element = (get_args(kind)[0] if get_origin(kind) is tuple else str) if is_many else kind
    return TyperOption(param_decls=declared, type=_click_type(element), multiple=is_many, **shown)


def _shown(default: Any) -> bool | str:
    """A default as help writes it: three digits of a quotient such as 1/96, else as it is."""
    return f"{default:.3g}" if isinstance(default, float) and len(repr(default)) > 12 else True


def _plain(kind: Any) -> Any:
    """A type without `None`."""
    if get_origin(kind) not in (Union, types.UnionType):
        return kind
    return next(each for each in get_args(kind) if each is not types.NoneType)


def _click_type(kind: Any) -> Any:
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    return {int: click.INT, float: click.FLOAT, Path: click.Path(path_type=Path)}.get(kind, click.STRING)


def _value(name: str, value: Any, kind: Any) -> Any:
    """A value as click gives it, as the type wants it: pairs as a table, several values as a tuple."""
    if get_origin(_plain(kind)) is not Mapping:
        return tuple(value or ()) if get_origin(_plain(kind)) is tuple else value
    pairs = [text.partition("=") for text in value or ()]
    if wrong := [text for text, equals, found in pairs if not (text and equals and found)]:
        raise ConfigError(f"{name}: {wrong[0]!r} is not KIND=NAME; write for example --{name} seed=linear")
    if len({key for key, _, _ in pairs}) < len(pairs):
        raise ConfigError(f"{name}: a kind is given twice; give each once")
    return {key: found for key, _, found in pairs}


def _sentence(text: str) -> str:
    """A line of a docstring as help: with a capital, and brackets that rich does not take for markup."""
    # Names keep their case: it is "awgn, rayleigh, ...", and not "Awgn".
    is_word = text.partition(" ")[0].rstrip(";").replace("-", "").isalpha()
    return _plain_text(text[:1].upper() + text[1:] if is_word else text)


def _plain_text(text: str) -> str:
    return text.replace("[", r"\[")
