"""`gainnet orchestrate`: what is written, and that pictures show what was decided."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Circle
from PIL import Image

from gainnet.catalog import EpisodeConfig
from gainnet.catalog.orchestration import episode_of
from gainnet.core.errors import GainnetError
from gainnet.orchestration.drawing import draw_boards, draw_gain, draw_map, label_of, shown_clients
from gainnet.orchestration.episode import Episode
from gainnet.orchestration.page import page
from gainnet.orchestration.save import save, to_json
from gainnet.orchestration.traffic import traffic
from page_desk import HOSTILE, check_page

FILES = {"map.png", "boards.png", "gain.png", "policies.csv", "associations.csv", "summary.json", "report.html"}


@pytest.fixture(scope="module")
def episode() -> Episode:
    return episode_of(EpisodeConfig("greedy", random_seed=1, num_clients=8, num_rounds=3, requests_per_s=4.0))


@pytest.fixture(scope="module")
def folder(episode: Episode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("episode")
    save(episode, written)
    return written


def test_h14_the_default_policy_is_as_good_as_any_there(episode: Episode) -> None:
    shares = {name: episode.share_of(name) or 0.0 for name in episode.rollouts}
    assert shares[EpisodeConfig().policy] >= max(shares.values()) - 1e-9


def test_no_policy_beats_the_optimum_and_every_round_adds_up(episode: Episode) -> None:
    assert episode.reference is not None
    for name in episode.rollouts:
        share = episode.share_of(name)
        assert share is not None
        assert 0 <= share <= 1 + 1e-9
    summary = to_json(episode)
    assert sum(summary["gain_of_round"]) == pytest.approx(summary["gain"], rel=1e-12)
    gains = [row["gain"] for row in summary["policies"]]
    assert gains == sorted(gains, reverse=True)
    assert summary["over_best_paper_baseline"] >= 1


def test_a_page_escapes_what_others_wrote(episode: Episode) -> None:
    summary = to_json(episode)
    rows = [row | {"label": f"{row['label']} {HOSTILE}"} for row in summary["policies"]]
    summary |= {"scenario": HOSTILE, "mobility": HOSTILE, "policies": rows}
    pictures = dict.fromkeys(("map", "gain", "boards"), b"")
    check_page(page(summary, pictures, {"policies": [HOSTILE]}), num_scripts=2)


def test_m7_an_episode_is_short_in_a_terminal_and_a_picture_in_a_notebook(episode: Episode) -> None:
    first, *others = repr(episode).splitlines()
    assert first == "Episode of greedy in street: 8 clients, 4 models, 3 rounds, random seed 1"
    assert len(others) == len(episode.rollouts)
    assert f"  greedy: gain {episode.gain:.3f}, {episode.of_optimum:.3f} of the optimum" in others
    assert episode._repr_html_().startswith('<img alt="gain of every round, and of all policies" src="data:image/png')


@pytest.mark.slow
def test_everything_is_written_and_nothing_is_loaded_from_elsewhere(episode: Episode, folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    assert {path.name for path in folder.iterdir()} == FILES
    assert summary == json.loads(json.dumps(to_json(episode)))
    for name in ("map", "boards", "gain"):
        with Image.open(folder / f"{name}.png") as picture:
            assert min(picture.size) > 300
            assert len(picture.convert("RGB").getcolors(1_000_000) or ()) > 20
    html = (folder / "report.html").read_text()
    check_page(html, num_scripts=2)
    assert "When learning pays: in drawn scenarios it does not." in html
    assert html.count("data:image/png;base64,") == 3
    assert all(row["label"] in html for row in summary["policies"])


def test_the_page_plays_what_was_decided(episode: Episode, folder: Path) -> None:
    html = (folder / "report.html").read_text()
    found = re.search(r'<script id="traffic" type="application/json">(.*?)</script>', html)
    assert found is not None
    shown = json.loads(found[1])
    assert shown == json.loads(json.dumps(traffic(episode)))
    assert shown["policies"][0]["model"] == episode.chosen.model.tolist()
    assert {policy["label"] for policy in shown["policies"]} == {label_of(name) for name in episode.rollouts}
    # Decisions in three CRs; the boards have one more, which only consumes.
    assert (len(shown["together"]), len(shown["boards"]), len(shown["boards"][0])) == (3, 4, 8)
    pieces = [piece for clients in shown["boards"] for rows in clients for piece in rows]
    assert pieces
    assert all(0 <= p[3] < p[4] <= shown["duration_s"] + 1e-3 and 0 <= p[5] < p[6] <= 1 for p in pieces)
    assert all(row["label"] in html for row in to_json(episode)["requests"]["policies"])


def test_associations_are_those_of_the_rollout(episode: Episode, folder: Path) -> None:
    with (folder / "associations.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 8
    for row in rows:
        cr, n = int(row["round"]) - 1, int(row["client"]) - 1
        assert int(row["model"]) - 1 == int(episode.chosen.model[cr, n])
        assert float(row["num_samples_trained"]) <= float(row["num_samples_sensed"]) + 1e-6


def test_the_map_shows_every_client_in_the_colour_of_its_model(episode: Episode) -> None:
    figure = draw_map(episode)
    models = episode.world.scenario.models
    domain_of_model = [model.domains.index(max(model.domains)) for model in models]
    from gainnet.orchestration.drawing import COLOURS

    for cr, ax in enumerate(figure.axes[:3]):
        clients = next(c for c in ax.collections if len(c.get_offsets()) == 8)
        drawn = [to_hex(colour) for colour in clients.get_edgecolors()]
        expected = [COLOURS[domain_of_model[int(m)]].lower() for m in episode.chosen.model[cr]]
        assert drawn == expected
        assert sum(isinstance(patch, Circle) for patch in ax.patches) == 2 * len(shown_clients(episode))


@pytest.mark.slow
def test_boards_and_gain_have_their_panels(episode: Episode) -> None:
    boards, gain = draw_boards(episode), draw_gain(episode)
    assert len(boards.axes) == 2 * len(shown_clients(episode))
    assert len(gain.axes[1].patches) == len(episode.rollouts)
    widths = sorted(patch.get_width() for patch in gain.axes[1].patches)
    assert widths == pytest.approx(sorted(episode.gain_of(name) for name in episode.rollouts))


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"policy": "telepathy"}, "policy"),
        ({"scenario": "moon"}, "scenario"),
        ({"regime": "telepathy"}, "regime"),
        ({"random_seed": -1}, "random_seed"),
        ({"num_clients": 0}, "num_clients"),
        ({"num_rounds": 0}, "num_rounds"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_field(config: dict[str, str | int], field: str) -> None:
    with pytest.raises(GainnetError, match=field) as error:
        episode_of(EpisodeConfig(**config))  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
