"""Where the weights of a codec lie: by the digest of the model that they fit, so that any number of them coexist."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar, cast, final

from gainnet.core.errors import ModelError
from gainnet.core.files import write_whole
from gainnet.core.weights import CONFIG, WeightsFormat, user_folder

PRETRAINED: Final = Path(__file__).parent / "pretrained"
W = TypeVar("W")


@final
@dataclass(frozen=True)
class Shelf:
    """The places of one kind of weights: a folder that is given, the user's own, and those of the package.

        codecs/<kind>/<digest of the model>     installed by a training, in the user's folder
        codecs/<room>/<name of the model>       put there by hand
        pretrained/...                          comes with the package

    Args:
        format: of the weights.
        room: folder of the user's folder `codecs` in which names are looked up.
        names: under which the weights for the scenes model are known where no digest is.
        shipped: folder of the package that holds them.
        code: of seeds, which `gainnet train seed-codec --code` makes; empty where the format says how to make it.
    """

    format: WeightsFormat
    room: str
    names: tuple[str, ...]
    shipped: str
    code: str = ""

    def place(self, model_sha256: str) -> Path:
        """Where the weights for a model are installed."""
        return user_folder() / "codecs" / self.format.kind / model_sha256

    def install(self, folder: Path, model_sha256: str) -> Path:
        """Copies the weights of a folder to where they are found for their model; returns that place."""
        place = self.place(model_sha256)
        # The configuration comes last, since its presence says that the folder is complete.
        for name in (self.format.file, CONFIG):
            write_whole(place / name, (folder / name).read_bytes())
        return place

    def find(self, model: str | Path, model_sha256: str | None = None) -> Path:
        """The folder of the weights for a model.

        Args:
            model: a folder of weights, as a path with a separator; or name or folder of the model.
            model_sha256: digest of the model; `None` accepts the weights of any, as they are found by name.

        Raises:
            ModelError: there are none, or those that there are fit other models.
        """
        if _is_path(model) and _holds_weights(Path(model)):
            # Explicitly given: nothing else may stand in for it, and whether it fits is checked where it is read.
            return Path(model)
        named = [place for place in self._named(Path(model).name) if self._is_ours(place)]
        for place in (*self._of_digest(model_sha256), *named):
            if model_sha256 is None or (self._is_ours(place) and _config(place).get("model_sha256") == model_sha256):
                return place
        if not named:
            raise ModelError(f"{self.format.label}: none for model {str(model)!r}; {self._mend(model)}")
        digests = f"{str(_config(named[0]).get('model_sha256'))[:12]}, not {str(model_sha256)[:12]}"
        raise ModelError(
            f"{self.format.label}: {named[0]} fits another model ({digests}) than {str(model)!r}; {self._mend(model)}"
        )

    def read(self, model: str | Path, model_sha256: str | None, load: Callable[[Path, str | None], W]) -> W:
        """The weights for a model, read once while their files stay: every plan of a request chooses and binds a codec.

        Args:
            model: as of `find`, like the digest and the errors.
            model_sha256: digest of the model.
            load: reads the weights of a folder for a digest.
        """
        folder = self.find(model, model_sha256)
        found = [path.stat() for path in (folder / CONFIG, folder / self.format.file) if path.is_file()]
        stamp = tuple(number for each in found for number in (each.st_ino, each.st_size, each.st_mtime_ns))
        return cast(W, _read(load, folder, model_sha256, stamp))

    def _of_digest(self, model_sha256: str | None) -> Iterator[Path]:
        if model_sha256 is not None:
            yield self.place(model_sha256)
            yield from sorted(path.parent for path in PRETRAINED.rglob(CONFIG))

    def _named(self, name: str) -> Iterator[Path]:
        yield user_folder() / "codecs" / self.room / name
        if name in self.names:
            yield PRETRAINED / self.shipped

    def _is_ours(self, folder: Path) -> bool:
        """Whether a folder holds weights of this kind, whole or damaged."""
        return _holds_weights(folder) and _config(folder).get("kind", self.format.kind) == self.format.kind

    def _mend(self, model: str | Path) -> str:
        if not self.code:
            return f"{self.format.mend} --model {model} --out FOLDER"
        return f"gainnet train seed-codec --model {model} --prompts FILE --code {self.code} --out FOLDER makes them"


@lru_cache(maxsize=6)
def _read(
    load: Callable[[Path, str | None], Any], folder: Path, model_sha256: str | None, stamp: tuple[int, ...]
) -> Any:
    """The stamp changes with the files, and with it the key of what was read."""
    return load(folder, model_sha256)


def _is_path(model: str | Path) -> bool:
    # A bare name is a name: a folder of that name, which happens to lie where one works, must not win over it.
    return isinstance(model, Path) or "/" in model


def _holds_weights(folder: Path) -> bool:
    # A model's folder may have a configuration, too, and is none of weights of a codec.
    return (folder / CONFIG).is_file() and not (folder / "model_index.json").is_file()


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
