"""Training the emoji model on a handful of drawings: it ends with a folder that generates, also after a kill."""

import json
from pathlib import Path

import pytest
import torch

from gainnet.models.emoji.album import Album
from gainnet.models.emoji.captions import wordings
from gainnet.models.loading import load_model
from gainnet.models.vocabulary import read_vocabulary
from gainnet.training.emoji import PRESETS, train_emoji
from gainnet.training.emoji_figures import FILE, keep_line, read_figures
from gainnet.training.emoji_folder import HELD_OUT
from gainnet.training.emoji_networks import even_items, principal_components

NAMES = (("red-circle",), ("judge-dark-skin-tone",), ("judge-light-skin-tone",), ("judge",), ("bear",))


def toy_album() -> Album:
    torch.manual_seed(0)
    pictures = torch.randint(256, (len(NAMES), 3, 8, 8), dtype=torch.uint8)
    return Album(pictures.repeat_interleave(16, 2).repeat_interleave(16, 3), NAMES)


@pytest.mark.slow
def test_tiny_training_ends_with_a_model_and_resumes(tmp_path: Path) -> None:
    album, steps = toy_album(), PRESETS["tiny"]
    own = wordings(album.names, {})
    whole = train_emoji(album, own, tmp_path / "whole", 0, steps)

    def stop(stage: str, step: int, num_steps: int, loss: float) -> None:
        if stage == "denoiser":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_emoji(album, own, tmp_path / "cut", 0, steps, stop)
    again = train_emoji(album, own, tmp_path / "cut", 0, steps)
    for part in ("unet", "vae"):
        file = f"{part}/diffusion_pytorch_model.safetensors"
        assert (whole / file).read_bytes() == (again / file).read_bytes()
    assert load_model(str(whole)).denoiser.latent.shape == (32, 8, 8)
    # Figures were taken on the way, of what this album has.
    (taken,) = read_figures(tmp_path / "whole" / "denoiser" / FILE)
    assert taken["step"] == steps.denoiser_stop
    assert set(taken) >= {"loss", "cpu_s", "seen"}
    assert f"| {taken['loss']:.3f} |" in (whole / "README.md").read_text()


def test_figures_of_a_step_are_kept_once(tmp_path: Path) -> None:
    path = tmp_path / FILE
    for step in (3, 6, 3):
        keep_line(path, {"step": step, "loss": 1.0})
    assert [each["step"] for each in read_figures(path)] == [3, 6]
    assert read_figures(tmp_path / "none") == []


def test_the_folder_says_where_it_comes_from_and_what_it_never_saw(user_with_emoji: Path) -> None:
    folder = user_with_emoji / "gainnet" / "models" / "emoji"
    assert set(json.loads((folder / HELD_OUT).read_text())) == {"compositions", "concepts"}
    told = (folder / "README.md").read_text()
    for part in ("Apache-2.0", "CLDR", "vocabulary.json", "held_out.json", "## Limits", "NOTICE.txt"):
        assert part in told
    assert "$" not in told
    assert "UNICODE LICENSE V3" in (folder / "NOTICE.txt").read_text()
    words = read_vocabulary(folder)
    assert words is not None
    assert words.missing(["an octopus", "the judge with dark skin", "a dragon"]) == ["dragon"]


def test_items_come_evenly() -> None:
    items = even_items([2, 1, 0, 3], 4, 1, "test")
    drawn = torch.cat([items(step) for step in range(3)])
    assert torch.bincount(drawn, minlength=4).tolist() == [4, 2, 0, 6]
    assert torch.equal(items(1), drawn[4:8])


def test_components_keep_distances() -> None:
    torch.manual_seed(0)
    latents = torch.randn(6, 2, 2, 2)
    found = principal_components(latents, 8)
    assert torch.allclose(found.var(0, unbiased=False).max(), torch.tensor(1.0), atol=1e-4)
    ratio = torch.pdist(latents.flatten(1)) / torch.pdist(found)
    assert torch.allclose(ratio, ratio[0].expand_as(ratio), rtol=1e-3)
