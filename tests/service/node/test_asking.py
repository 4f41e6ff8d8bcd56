"""`gainnet ask` is `generate` over a wire: its files, its keys, one line per mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.conftest import Call

from gainnet.core.report import Report
from gainnet.service.node.local import Edges
from gainnet.service.provenance import verify

KEYS = {
    "protocol", "prompt", "model", "codec", "fading", "snr_db", "power", "random_seed", "num_edges", "image_path",
    "wall_s", "quality", "report", "baseline", "images", "configuration", "runtime", "warnings", "original",
}  # fmt: skip
OWN = {"request_id", "failures", "frames", "edge", "provenance"}


def pixels(path: Path) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


@pytest.mark.slow
def test_an_answer_has_the_keys_of_a_generation(two: Edges, call: Call, tmp_path: Path, signer: Path) -> None:
    options = ("--num-steps", "2", "--fading", "ideal", "--random-seed", "5", "--json")
    code, out, _ = call("ask", two.url, "a red star", *options)
    assert code == 0
    answer = json.loads(out)
    assert set(answer) == KEYS | OWN
    assert set(answer["report"]) == set(Report().to_json())
    assert (tmp_path / answer["image_path"]).is_file()
    assert json.loads((tmp_path / "out/ask/report.json").read_text()) == answer
    found = verify(tmp_path / answer["image_path"], signer / "root.pem")
    assert (found.evidence, found.pixels, found.problems) == ("receipt", "signed", ())
    assert answer["provenance"]["evidence"] == "receipt"
    code, out, _ = call("generate", "a red star", *options)
    assert code == 0
    made = json.loads(out)
    # That of the device says in its XMP where it comes from.
    assert pixels(tmp_path / made["image_path"]) == pixels(tmp_path / answer["image_path"])
    for report in (made["report"], answer["report"]):
        for step in report["steps"]:
            step.pop("wall_s")
    own = {"image_path", "images", "wall_s", "quality", "baseline", "configuration"}
    assert {key: made[key] for key in KEYS - own} == {key: answer[key] for key in KEYS - own}


@pytest.mark.slow
def test_a_picture_that_is_changed_is_measured_first(two: Edges, call: Call, tmp_path: Path) -> None:
    Image.new("RGB", (90, 60), (200, 30, 30)).save(tmp_path / "mine.png")
    options = ("--image", "mine.png", "--protocol", "uieg", "--num-steps", "2", "--fading", "ideal")
    code, out, err = call("ask", two.url, "a red star", *options, "--json")
    assert code == 0, err
    original = json.loads(out)["original"]
    assert original["kept_psnr_db"] > max(20, original["psnr_db"])
    assert all((tmp_path / original[name]).is_file() for name in ("image_path", "kept_path"))
    code, out, _ = call("ask", two.url, "a red star", *options)
    assert "autoencoder alone keeps" in out.splitlines()[1]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("http://127.0.0.1:9", "a red star"), "no edge at http://127.0.0.1:9"),
        (("ftp://127.0.0.1", "a red star"), "is not the address of an edge"),
        (("127.0.0.1:8080", "a red star"), "is not the address of an edge"),
        (("http://127.0.0.1:9",), "give a text or --prompts FILE"),
    ],
)
def test_a_mistake_is_one_line(call: Call, arguments: tuple[str, ...], reason: str) -> None:
    code, out, err = call("ask", *arguments)
    assert (code, out) == (2, "")
    assert reason in err
    assert len(err.strip().splitlines()) == 1
