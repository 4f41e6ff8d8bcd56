"""Reading and drawing the collection: what is refused, and that one picture is one class."""

from pathlib import Path

import pytest

from gainnet.core.errors import ConfigError
from gainnet.core.run.checkpoint import Checkpoint
from gainnet.models.emoji.album import Album, draw_album
from gainnet.models.emoji.source import FLUENT_FLAT, Collection, rasterise
from gainnet.models.emoji.styled import styled_of
from gainnet.models.emoji.synonyms import read_synonyms

BODIES = {
    "red-circle": '<circle cx="64" cy="64" r="40" fill="red"/>',
    "blue-circle": '<circle cx="64" cy="64" r="40" fill="blue"/>',
    "large-red-circle": '<circle cx="64" cy="64" r="40" fill="#f00"/>',
}


def test_a_drawing_lies_on_white() -> None:
    pytest.importorskip("resvg_py")
    pixels = rasterise(BODIES["red-circle"])
    assert pixels.shape == (128, 128, 3)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[64, 64].tolist() == [255, 0, 0]


def test_equal_pictures_are_one_class(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    album = draw_album(Collection(BODIES, {"red-disc": "large-red-circle"}, "0"))
    assert album.names == (("red-circle", "large-red-circle", "red-disc"), ("blue-circle",))
    assert album.pictures.shape == (2, 3, 128, 128)
    file = Checkpoint(tmp_path / "album.safetensors", {"album": 1})
    file.write({"names": album.names}, {"pictures": album.pictures})
    # What was kept is read, and the drawings are not asked for again.
    again = Album.kept(file.path, tmp_path / "nothing")
    assert again.names == album.names
    assert again.sha256 == album.sha256


def test_another_house_draws_what_the_model_knows() -> None:
    pytest.importorskip("resvg_py")
    body = '<circle cx="16" cy="16" r="10" fill="red"/>'
    collection = Collection({"red-disc": body, "moon": body, "judge-dark-skin-tone": body}, {}, "0")
    captions, pictures = styled_of(collection, ["red disc", "judge dark skin tone"])
    assert captions == ("red disc",)
    assert pictures[0, :, 64, 64].tolist() == [255, 0, 0]
    with pytest.raises(ConfigError, match="knows none of their names"):
        styled_of(collection, [])


@pytest.mark.parametrize("read", [Collection.read, lambda folder: Collection.read(folder, FLUENT_FLAT), read_synonyms])
def test_another_source_is_refused(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(ConfigError, match=r"source: .* cannot be read"):
        read(tmp_path)
    for name in ("icons.json", "annotations.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(ConfigError, match=r"source: .* has another digest"):
        read(tmp_path)
