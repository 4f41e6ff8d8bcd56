"""From a table to files of figures: the style that they are drawn in, and the formats that they are written in."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from gainnet.core.errors import ConfigError, unknown_name
from gainnet.core.files import write_whole
from gainnet.studies.study import C, Study

if TYPE_CHECKING:
    import pandas as pd

STYLE_PATH: Final = Path(__file__).with_name("gainnet.mplstyle")
"""The look of every figure, which a style of the user's changes line by line."""

DATED: Final = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Formats, and what is left out of their files, so that equal tables give equal bytes."""


@final
@dataclass(frozen=True)
class Look:
    """How figures are drawn and written.

    Args:
        style: a .mplstyle file, or the name of a style of matplotlib, over that of gainnet; none if empty.
        formats: of the files: png, svg, pdf.

    Raises:
        ConfigError: an unknown format.
    """

    style: str = ""
    formats: tuple[str, ...] = ("png", "svg")

    def __post_init__(self) -> None:
        for name in self.formats:
            if name not in DATED:
                raise unknown_name("format", name, DATED)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Draws in this style, whatever matplotlib was set to before and will be after.

        Raises:
            ConfigError: there is no such style, or a line of it is none of matplotlib's.
        """
        import matplotlib as mpl
        from matplotlib import style as styles

        own: list[Any] = []
        if self.style in styles.available:
            own = [self.style]
        elif self.style:
            own = [_read(Path(self.style))]
        # A fixed salt, or else equal figures would differ in every byte.
        with styles.context(["default", STYLE_PATH, *own]), mpl.rc_context({"svg.hashsalt": "gainnet"}):
            yield


USUAL: Final = Look()


def draw_and_save(study: Study[C], table: pd.DataFrame, folder: Path, look: Look = USUAL) -> tuple[Path, ...]:
    """The files of a study's figures, drawn from its table.

    Args:
        study: that draws.
        table: of a run.
        folder: of the files, `<name>.<format>`.
        look: style and formats.
    """
    # Colours are looked up when a figure is saved, so that it is drawn and saved in one style.
    with look.applied():
        return tuple(file for name, figure in study.draw(table) for file in _save(figure, folder / name, look.formats))


def _save(figure: Any, place: Path, formats: tuple[str, ...]) -> Iterator[Path]:
    for name in formats:
        image, target = io.BytesIO(), place.with_name(f"{place.name}.{name}")
        figure.savefig(image, format=name, metadata=DATED[name])
        write_whole(target, image.getvalue())
        yield target


def _read(path: Path) -> dict[str, Any]:
    """The entries of a style file, each checked."""
    import matplotlib as mpl

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"style: {path} is no file of text; give a .mplstyle file or a style of matplotlib") from None
    names = [line.partition("#")[0].partition(":")[0].strip() for line in lines]
    # matplotlib itself would print a warning and draw on without the line.
    if unknown := [name for name in names if name and name not in mpl.rcParams]:
        raise unknown_name("style", unknown[0], list(mpl.rcParams))
    try:
        found: Any = mpl.rc_params_from_file(path, fail_on_error=True, use_default_template=False)
    except (ValueError, KeyError, SyntaxError) as error:
        raise ConfigError(f"style: {path} cannot be read ({' '.join(str(error).split())}); mend it") from None
    return dict(found)
