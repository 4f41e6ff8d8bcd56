"""Modules of the page beside their Python twins: digests, keyed noise, tokens, frames."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from gainnet.codecs.correction import CorrectionWeights, ResidualCode
from gainnet.codecs.correction.weights import CORRECTIONS
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Symbols
from gainnet.models.drafts import digests
from gainnet.models.emoji.words import build_tokenizer
from gainnet.models.loading import find_folder, load_model
from gainnet.models.shipped import describe_model, unknown_words
from gainnet.service.node.content import sent_of
from gainnet.service.node.frames import Frame

HERE = Path(__file__).parent
WEB = HERE.parents[2] / "web"
GOLDEN = json.loads((HERE.parent / "node" / "golden_frames.json").read_text(encoding="utf-8"))
CONTENT = bytes(range(256)) * 4
LENGTHS = (0, 1, 55, 56, 63, 64, 65, 119, 120, 1000)
SEEDS = (0, 7, 2**31 - 1)
BASIS = {
    "mean": torch.zeros(3), "basis": torch.tensor([[127, -5], [0, 63], [-127, 1]], dtype=torch.int8),
    "steps": torch.tensor([0.5, 0.0078125]), "variances": torch.ones(2),
    "scale_classes": torch.zeros(2, dtype=torch.int16),
}  # fmt: skip
NAMES = ["completing", "prior"]
DRAFTS = [[0.5, 1.5, -0.5, -1.5, 0.49], [1e12, -1e12, 2.0, -3.0, 0.0], Random.of(4).normal((1024,), "draft").tolist()]
PROMPTS = (
    "a red star above a blue house at sunset", "A Whale,  swimming!", "café 12", "red-star's", "", "two\nlines",
    "a purple circle " * 12,
)  # fmt: skip


@pytest.fixture(scope="module")
def pieces() -> Any:
    """A tokenizer of the emoji model's kind."""
    return build_tokenizer(["a", "red", "star", "cafe", "whale", "swim", "circle"])


@pytest.fixture(scope="module")
def corrections() -> tuple[list[bytes], list[list[float]]]:
    """Streams of corrections, coarse and fine, and what Python reads in them."""
    weights, streams, read = CorrectionWeights.load(), [], []
    for level in (3, 16, 31):
        codec = ResidualCode(level=level, draft="fitted-4", weights=weights)
        sent = torch.cat([0.3 * Random.of(level).normal((1024,), "values"), torch.tensor([60_000.0 + level])])
        payload = codec.encode(sent[None], torch.ones(1))
        streams += [string for string in payload.strings if string is not None]
        read += codec.decode(payload, Spec((1025,))).tolist()
    return streams, read


@pytest.fixture(scope="module")
def said(corrections: Any, pieces: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    cases = {
        "sha256": [base64.b64encode(CONTENT[:n]).decode() for n in LENGTHS],
        "normals": [{"seed": seed, "names": NAMES, "count": 1024} for seed in SEEDS],
        "tokens": PROMPTS,
        "words": describe_model("scenes")["words"],
        "corrections": {
            "folder": str(CORRECTIONS.find("scenes")),
            "draft": "fitted-4",
            "streams": [base64.b64encode(stream).decode() for stream in corrections[0]],
        },
        "drafts": DRAFTS,
        "basis": base64.b64encode(save(BASIS)).decode(),
        "frames": [base64.b64encode(bytes.fromhex(each["frame"])).decode() for each in GOLDEN],
    }
    folder = tmp_path_factory.mktemp("pieces")
    pieces.save_pretrained(folder)
    files = find_folder("scenes") / "tokenizer" / "tokenizer.json", folder / "tokenizer.json"
    command = [node, WEB / "tests" / "units.mjs", *files]
    ended = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.mark.slow
def test_digests_are_sha_256(said: dict[str, Any]) -> None:
    assert said["sha256"] == [hashlib.sha256(CONTENT[:n]).hexdigest() for n in LENGTHS]


def test_components_in_bytes_are_multiplied_by_the_step_of_their_column(said: dict[str, Any]) -> None:
    assert said["basis"] == (BASIS["basis"] * BASIS["steps"]).flatten().tolist()


def test_corrections_are_read_as_python_reads_them(said: dict[str, Any], corrections: Any) -> None:
    assert said["corrections"] == corrections[1]
    assert len(said["corrections"]) == 3


def test_digests_of_drafts_are_those_of_the_edge(said: dict[str, Any]) -> None:
    assert said["drafts"] == [int(digests(torch.tensor([draft]))) for draft in DRAFTS]


def test_noise_is_that_of_the_keyed_streams(said: dict[str, Any]) -> None:
    for seed, found in zip(SEEDS, said["normals"], strict=True):
        assert found == Random.of(seed).normal((1024,), *NAMES).tolist()


def test_tokens_are_those_of_the_text_encoder(said: dict[str, Any]) -> None:
    tokenizer = load_model("scenes").pipeline.tokenizer
    wanted = tokenizer(list(PROMPTS), padding="max_length", max_length=24, truncation=True)["input_ids"]
    assert [each["tokens"] for each in said["tokens"]] == wanted


def test_tokens_are_those_of_the_emoji_model(said: dict[str, Any], pieces: Any) -> None:
    wanted = pieces(list(PROMPTS), padding="max_length", max_length=18, truncation=True)["input_ids"]
    assert [each["pieces"] for each in said["tokens"]] == wanted


def test_unknown_words_are_those_that_are_warned_of(said: dict[str, Any]) -> None:
    found = [each["unknown"] for each in said["tokens"]]
    assert found == [[each.word for each in unknown_words("scenes", [prompt])] for prompt in PROMPTS]
    assert found[1:3] == [["whale", "swimming"], ["café", "12"]]


def test_frames_are_read_as_python_reads_them(said: dict[str, Any]) -> None:
    for each, found in zip(GOLDEN, said["frames"], strict=True):
        frame = Frame.of_bytes(bytes.fromhex(each["frame"]))
        assert (found["kind"], found["head"]) == (frame.kind, dict(frame.head))
        assert found["same"]
        sent = sent_of(frame) if frame.kind == "content" else None
        if sent is not None and isinstance(sent.payload, Symbols):
            values = sent.payload.values
            first = values.reshape(-1, values.shape[-1])[0]
            assert found["count"] == len(first)
            assert found["values"] == [x for z in first.tolist() for x in (z.real, z.imag)]


def test_a_picture_goes_up_as_a_safetensors_file(said: dict[str, Any]) -> None:
    assert said["picture"] == {"shape": [3, 2, 2], "same": True}
