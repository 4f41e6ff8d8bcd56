"""The collection of pictures that the emoji model learns: Noto's SVGs, drawn as pixels."""

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

SOURCE = "icons.json of the npm package @iconify-json/noto 1.2.9"
SOURCE_SHA256 = "9eac6ef4e7ec122b6f0e7ac281d61008afdbc720d0ce861e398b939daaa347c6"
SIZE = 128
"""Height and width of a picture in pixels."""


@final
@dataclass(frozen=True)
class Collection:
    """Drawings by name.

    Args:
        bodies: name -> content of its SVG, in coordinates from 0 to 128.
        aliases: other name -> name.
        sha256: digest of the file that they were read from.
    """

    bodies: Mapping[str, str]
    aliases: Mapping[str, str]
    sha256: str

    @staticmethod
    def read(folder: Path) -> Collection:
        """The collection in a folder that the npm package was unpacked into.

        Raises:
            ConfigError: `icons.json` is missing or of another version.
        """
        path = folder / "icons.json"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"source: {path} cannot be read ({error.strerror}); unpack {SOURCE}") from None
        # Names, order and drawings decide every number that is published, so that no other version will do.
        if (sha256 := hashlib.sha256(content).hexdigest()) != SOURCE_SHA256:
            raise ConfigError(f"source: {path} has another digest ({sha256[:12]}); give {SOURCE}")
        found: dict[str, Any] = json.loads(content)
        # What is hidden are former names of pictures that have another one.
        bodies = {name: icon["body"] for name, icon in found["icons"].items() if not icon.get("hidden")}
        aliases = {name: alias["parent"] for name, alias in found["aliases"].items() if alias["parent"] in bodies}
        return Collection(bodies, aliases, sha256)


def rasterise(body: str) -> NDArray[Any]:
    """[128, 128, 3], uint8, a drawing on white.

    Args:
        body: content of an SVG, in coordinates from 0 to 128.

    Raises:
        MissingExtraError: resvg-py is not installed.
    """
    import numpy as np
    from PIL import Image

    resvg = import_extra("resvg_py", "resvg-py", "emoji")
    frame = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    svg = f'<svg {frame} viewBox="0 0 {SIZE} {SIZE}" width="{SIZE}" height="{SIZE}">{body}</svg>'
    # No text is set in these drawings; looking for the system's fonts would take longer than drawing.
    png = resvg.svg_to_bytes(svg_string=svg, background="white", skip_system_fonts=True)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
