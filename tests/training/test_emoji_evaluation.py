"""How samples of emoji are judged, on features whose answers are known."""

import pytest
import torch

from gainnet.models.emoji.album import Album
from gainnet.models.emoji.captions import wordings
from gainnet.models.emoji.names import TONES, outside_denoiser
from gainnet.training.emoji_evaluation import ask, frechet_distance, halves, nearest, score

PEOPLE = ("judge", "cook", "pilot", "singer", "farmer", "nurse", "driver", "dancer")
NAMES = tuple((name,) for who in PEOPLE for name in (who, *(f"{who}-{tone}-skin-tone" for tone in TONES)))


@pytest.fixture(scope="module")
def album() -> Album:
    return Album(torch.zeros(len(NAMES), 3, 1, 1, dtype=torch.uint8), NAMES)


def test_captions_ask_for_what_was_seen_or_held_out(album: Album) -> None:
    own = wordings(album.names, {})
    for held_out in (False, True):
        asked = ask(album, own, held_out, 60, 0)
        assert {outside_denoiser(album.shown[k]) for k in asked.pictures} == {held_out}
        among = sum(outside_denoiser(shown) is held_out for shown in album.shown)
        # Every picture once before one comes again, by its name first.
        assert len(set(asked.pictures[:among])) == among
        assert asked.captions[: min(among, 60)] == tuple(own[k].own() for k in asked.pictures[:among])
    assert ask(album, own, True, 60, 0) == asked
    assert ask(album, own, True, 60, 1) != asked


def test_samples_near_their_pictures_score_one(album: Album) -> None:
    torch.manual_seed(0)
    features = torch.randn(len(NAMES), 16)
    asked = list(range(0, len(NAMES), 3))
    found = nearest(features[asked] + 0.01 * torch.randn(len(asked), 16), features)
    scores = score(found, asked, album.shown)
    assert {name: scores[name] for name in ("top1", "top5", "concept", "tone")} == dict.fromkeys(
        ("top1", "top5", "concept", "tone"), 1.0
    )
    assert scores["tone_chance"] == pytest.approx(1 / 6)


def test_frechet_distance_of_normal_sets() -> None:
    torch.manual_seed(0)
    one, other = torch.randn(20_000, 3), 2 * torch.randn(20_000, 3) + torch.tensor([1.0, 0.0, 0.0])
    # Mean 1 apart, and deviations 1 and 2 along three axes.
    assert frechet_distance(one, other, other) == pytest.approx(1 + 3, rel=0.03)


def test_halves_are_disjoint() -> None:
    one, other = halves(11, 5, 0)
    assert len({*one.tolist(), *other.tolist()}) == 10
