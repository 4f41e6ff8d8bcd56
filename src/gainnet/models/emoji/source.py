"""Collections of emoji as SVGs, drawn as pixels: Noto's, which the emoji model learns, and another of the same."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from gainnet.core.errors import ConfigError, import_extra

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 128
"""Height and width of a picture in pixels."""


@final
@dataclass(frozen=True)
class Package:
    """One version of a package of drawings.

    Args:
        source: what it is.
        sha256: digest of its `icons.json`.
        side: height and width of the coordinates of its drawings.
    """

    source: str
    sha256: str
    side: int


NOTO = Package(
    "icons.json of the npm package @iconify-json/noto 1.2.9",
    "9eac6ef4e7ec122b6f0e7ac281d61008afdbc720d0ce861e398b939daaa347c6",
    128,
)
FLUENT_FLAT = Package(
    "icons.json of the npm package @iconify-json/fluent-emoji-flat 1.2.6",
    "f5f4cf457c0db2ad5a2e42e033e02e0c87d10e43d0164cfffb3bb84914970a63",
    32,
)
"""Microsoft's flat emoji (MIT): mostly the same things under the same names, in another style."""


@final
@dataclass(frozen=True)
class Collection:
    """Drawings by name.

    Args:
        bodies: name -> content of its SVG, in the package's coordinates.
        aliases: other name -> name.
        sha256: digest of the file that they were read from.
    """

    bodies: Mapping[str, str]
    aliases: Mapping[str, str]
    sha256: str

    @staticmethod
    def read(folder: Path, package: Package = NOTO) -> Collection:
        """The collection in a folder that the npm package was unpacked into.

        Args:
            folder: holds `icons.json`.
            package: that it has to be of.

        Raises:
            ConfigError: `icons.json` is missing or of another version.
        """
        path = folder / "icons.json"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"source: {path} cannot be read ({error.strerror}); unpack {package.source}") from None
        # Names, order and drawings decide every number that is published, so that no other version will do.
        if (sha256 := hashlib.sha256(content).hexdigest()) != package.sha256:
            raise ConfigError(f"source: {path} has another digest ({sha256[:12]}); give {package.source}")
        found: dict[str, Any] = json.loads(content)
        # What is hidden are former names of pictures that have another one.
        bodies = {name: icon["body"] for name, icon in found["icons"].items() if not icon.get("hidden")}
        aliases = {name: alias["parent"] for name, alias in found["aliases"].items() if alias["parent"] in bodies}
        return Collection(bodies, aliases, sha256)


def rasterise(body: str, side: int = SIZE) -> NDArray[Any]:
    """[128, 128, 3], uint8, a drawing on white.

    Args:
        body: content of an SVG.
        side: height and width of its coordinates.

    Raises:
        MissingExtraError: resvg-py is not installed.
    """
    import numpy as np
    from PIL import Image

    resvg = import_extra("resvg_py", "resvg-py", "emoji")
    frame = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    svg = f'<svg {frame} viewBox="0 0 {side} {side}" width="{SIZE}" height="{SIZE}">{body}</svg>'
    # No text is set in these drawings; looking for the system's fonts would take longer than drawing.
    png = resvg.svg_to_bytes(svg_string=svg, background="white", skip_system_fonts=True)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
