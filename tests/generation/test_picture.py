"""Pictures of any size and format become what the model wants, upright and in the right colours."""

import numpy as np
import pytest
import torch
from PIL import Image

from gainnet.core.errors import ConfigError
from gainnet.core.types import Spec
from gainnet.generation.picture import open_picture

SHAPE = Spec((3, 8, 8))


def halves(width=16, height=8):
    """Red on the left, blue on the right."""
    values = np.zeros((height, width, 3), dtype=np.uint8)
    values[:, : width // 2, 0] = 255
    values[:, width // 2 :, 2] = 255
    return Image.fromarray(values)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.webp", "a.tiff", "a.gif"])
def test_formats(tmp_path, name):
    halves().save(tmp_path / name, **({"lossless": True} if name == "a.webp" else {}))
    x = open_picture(tmp_path / name, SHAPE)
    assert x.shape == SHAPE.shape
    torch.testing.assert_close(x[0, :, 0], torch.ones(8), atol=0.02, rtol=0)
    torch.testing.assert_close(x[2, :, -1], torch.ones(8), atol=0.02, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3), (8, 8), (64, 48)])
def test_sizes(tmp_path, size):
    Image.new("RGB", size, (255, 128, 0)).save(tmp_path / "a.png")
    x = open_picture(tmp_path / "a.png", SHAPE)
    torch.testing.assert_close(x.amax((1, 2)), x.amin((1, 2)))
    torch.testing.assert_close(x[:, 0, 0], torch.tensor([1.0, 128 / 255, 0.0]))


def test_exif_orientation_turns_it_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    halves(8, 8).save(tmp_path / "a.png", exif=exif)
    x = open_picture(tmp_path / "a.png", SHAPE)
    assert float(x[2, 4, 0]) > 0.9
    assert float(x[0, 4, -1]) > 0.9


def test_what_is_transparent_lies_on_white(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "a.png")
    Image.new("LA", (8, 8), (0, 0)).save(tmp_path / "b.png")
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([255, 0, 0] * 256)
    palette.save(tmp_path / "c.png", transparency=0)
    for name in "abc":
        torch.testing.assert_close(open_picture(tmp_path / f"{name}.png", SHAPE), torch.ones(SHAPE.shape))


@pytest.mark.parametrize(
    ("dtype", "value", "hot"),
    [(np.uint16, 32768, 65535), (np.uint16, 2048, 65535), (np.int32, 128, 10**9)]
    + [(np.float32, 0.5, hot) for hot in (0.5, 1000.0, np.inf)] + [(np.float32, 128, 255)],
)  # fmt: skip
def test_c20_deep_greys_keep_their_values_beside_a_hot_pixel(tmp_path, dtype, value, hot):
    values = np.full((64, 64), value, dtype=dtype)
    values[0, 0] = hot
    name = "a.png" if dtype == np.uint16 else "a.tiff"
    Image.fromarray(values).save(tmp_path / name)
    shown = open_picture(tmp_path / name, SHAPE)
    torch.testing.assert_close(shown.flatten().median(), torch.tensor(0.5), atol=0.01, rtol=0)


def test_unreadable_files_are_one_line(tmp_path):
    halves().save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:60])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("cut.png", "text.png", "empty.png", "missing.png", "."):
        with pytest.raises(ConfigError, match="image: ") as caught:
            open_picture(tmp_path / name, SHAPE)
        assert "\n" not in str(caught.value)


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    halves().save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ConfigError, match="too many pixels"):
        open_picture(tmp_path / "a.png", SHAPE)
