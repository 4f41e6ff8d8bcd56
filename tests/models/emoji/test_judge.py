"""The judge of emoji: what is nearest, and how much of what was asked for that has."""

from pathlib import Path

import pytest
import torch

from gainnet.core.errors import ModelError
from gainnet.models.emoji.captions import Wording, wordings
from gainnet.models.emoji.judge import JUDGE, EmojiJudge, read_judge

NAMES = ("octopus", "judge", "judge-dark-skin-tone", "judge-light-skin-tone", "couple-dark-skin-tone-light-skin-tone")


@pytest.fixture(scope="module")
def latents() -> torch.Tensor:
    return torch.randn(len(NAMES), 4, 3, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def judge(latents: torch.Tensor) -> EmojiJudge:
    return EmojiJudge.of(latents, wordings([[name] for name in NAMES], {"octopus": ["kraken"]}))


def test_the_nearest_is_the_picture_itself(judge: EmojiJudge, latents: torch.Tensor) -> None:
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    assert judge.nearest(latents + 0.1 * noise).tolist() == list(range(len(NAMES)))


@pytest.mark.parametrize(
    ("prompt", "drawn", "share"),
    [
        ("an octopus", 0, 1.0),
        ("The Kraken", 0, 1.0),
        ("octopus", 1, 0.0),
        ("judge with dark skin", 2, 1.0),
        ("a judge dark skin tone", 3, 0.5),
        ("judge with dark skin", 1, 0.5),
        # Nobody has asked for a tone.
        ("a judge", 2, 0.5),
        ("judge with dark skin", 0, 0.0),
        ("couple with dark and light skin", 4, 1.0),
        ("a dragon", 0, None),
    ],
)
def test_the_share_is_of_what_was_asked_for(
    judge: EmojiJudge, latents: torch.Tensor, prompt: str, drawn: int, share: float | None
) -> None:
    assert judge.fidelity(latents[[drawn]], [prompt]) == [share]


def test_a_folder_without_one_has_none_and_a_damaged_one_is_one_line(tmp_path: Path) -> None:
    assert read_judge(tmp_path / "none") is None
    (tmp_path / "wordings.json").write_text('[["octopus", [], []]]')
    (tmp_path / JUDGE).write_bytes(b"no tensors")
    with pytest.raises(ModelError, match=r"judge\.safetensors is damaged"):
        read_judge(tmp_path)


def test_wordings_are_those_of_the_pictures(judge: EmojiJudge) -> None:
    assert judge.wordings[2] == Wording("judge", (), ("dark",))
