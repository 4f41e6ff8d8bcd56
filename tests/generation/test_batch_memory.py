"""Memory of a generation by the number of its prompts."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
import torch

from gainnet.catalog import GenerationConfig
from gainnet.catalog.labels import save
from gainnet.catalog.opening import load, open_request
from gainnet.codecs import PNG, Float32, SeedCodec, SeedWeights
from gainnet.core import room
from gainnet.core.randomness import Random
from gainnet.core.room import in_file
from gainnet.core.types import Spec
from gainnet.generation import chunks, quality
from gainnet.generation.baseline import best_image_codec
from gainnet.generation.chunks import InPieces, SeedsInPieces, in_chunks
from gainnet.network import DEVICE, EDGE, Wire, cell, profile
from gainnet.protocols.plan import Plan, Transfer
from gainnet.protocols.run import execute
from gainnet.radio import Air, Ideal, Tabulated
from gainnet.radio.links.link import AnyLink

MOST_MORE_MB = 100.0
RED = "a red star"


@pytest.fixture
def all_in_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets every batch of pictures lie in a file, however small it is."""
    for module in (room, chunks):
        monkeypatch.setattr(module, "LEAST_BYTES", 1)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they lie in memory")
@pytest.mark.usefixtures("all_in_files")
@pytest.mark.parametrize("protocol", ["eiug", "centralized"])
def test_c22_no_more_than_a_chunk_of_pictures_is_in_memory(
    protocol: str, small_stable_diffusion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever looks at pictures gives their memory back before it takes the next ones."""
    given = list[int]()
    give_back = room.give_back
    for module in (room, chunks):
        monkeypatch.setattr(module, "give_back", lambda x: (given.append(len(x)), give_back(x))[1])
    model = load(str(small_stable_diffusion), num_steps=1)
    config = GenerationConfig((RED,) * 19, protocol, fading="ideal", num_steps=1)
    made = open_request(config, model).generate()
    assert in_file(made.values)
    assert in_file(made.references)
    save(made, tmp_path)
    assert max(given) <= chunks.MOST_ITEMS
    # Every picture is looked at three times at least: by its error, its likeness and what is written of it.
    assert sum(given) >= 3 * 2 * 19


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they lie in memory")
@pytest.mark.usefixtures("all_in_files")
@pytest.mark.parametrize("link", [Ideal(), Wire()], ids=["ideal", "wire"])
def test_c22_no_more_than_a_chunk_of_payloads_is_in_memory(link: AnyLink) -> None:
    """Of pictures as they are, whose bytes take as much room as the pictures; what Python holds is counted."""
    pictures = room.room_for((96, 3, 64, 64), torch.zeros(1))
    pictures[:] = torch.rand(pictures.shape, generator=torch.Generator().manual_seed(2))
    plan = in_chunks(Plan((Transfer(EDGE, (DEVICE,), "image", Float32()),), (DEVICE, "image")))
    network = cell(profile("edge_l4"), profile("phone"), (), (link,))
    random = Random.of(range(96))
    tracemalloc.start()
    try:
        places, report = execute(plan, {(EDGE, "image"): pictures}, network, random)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert torch.equal(places[DEVICE, "image"], pictures)
    assert report.num_bits == 8 * pictures.nbytes
    # Of a chunk its strings and its pictures, and those of the next one before they take their places.
    assert most_bytes <= 4 * chunks.MOST_ITEMS * pictures[0].nbytes < pictures.nbytes / 2


@pytest.mark.usefixtures("all_in_files")
def test_c22_pictures_in_files_have_the_numbers_of_pictures_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = torch.rand(9, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    noisy, link = (pictures + 0.1).clamp(0, 1), Tabulated(Air(snr_db=10.0))

    def found() -> tuple[object, ...]:
        where = room.room_for(pictures.shape, pictures)
        where[:] = pictures
        best = best_image_codec(link, where, 512.0, None, Random.of(range(9)))
        assert best is not None
        return quality.quality(noisy, where, [""] * 9), best.name, best.psnr_db_equal_uses, best.image.tolist()

    in_files = found()
    for module in (room, chunks):
        monkeypatch.setattr(module, "LEAST_BYTES", 2**40)
    assert found() == in_files


def test_c22_likeness_is_computed_one_picture_at_a_time_and_is_that_of_all_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its temporaries are twenty times a picture, and together they were the peak of a large batch."""
    pictures = torch.rand(9, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    noisy, at_once = (pictures + 0.1).clamp(0, 1), list[int]()
    ssim = quality.ssim
    monkeypatch.setattr(quality, "ssim", lambda one, other: (at_once.append(len(one)), ssim(one, other))[1])
    found = quality.quality(noisy, pictures, [""] * 9, lambda images, prompts: None)
    assert at_once == [1] * 9
    assert found.ssim == pytest.approx(float(ssim(noisy, pictures).mean()), abs=1e-6)


@pytest.mark.usefixtures("all_in_files")
def test_pictures_that_are_coded_in_pieces_are_coded_as_together() -> None:
    pictures, spec = torch.rand(10, 3, 16, 16, generator=torch.Generator().manual_seed(1)), Spec((3, 16, 16))
    whole, parts, snr = PNG(), InPieces(PNG()), torch.ones(10)
    sent = parts.encode(pictures, snr)
    assert sent == whole.encode(pictures, snr)
    received = parts.decode(sent, spec)
    assert torch.equal(received, whole.decode(sent, spec))
    # Sums follow the order of memory.
    assert received.stride() == whole.decode(sent, spec).stride()


def test_seeds_that_are_coded_in_pieces_are_those_of_their_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    latents, snr = Random.of(range(10)).normal((4, 16, 16), "prior"), torch.full((10,), 3.0)
    prompts = tuple(f"a {('red', 'blue')[k % 2]} star" for k in range(10))
    whole = SeedCodec(64, prompts, SeedWeights.load("scenes"))
    monkeypatch.setattr(chunks, "MOST_SEEDS", 3)
    parts = SeedsInPieces(whole)
    with torch.no_grad():
        sent, alone = parts.encode(latents, snr), whole.encode(latents, snr)
        torch.testing.assert_close(sent.values, alone.values, rtol=0, atol=1e-4)
        received = (one.decode(alone, Spec((4, 16, 16))) for one in (parts, whole))
        torch.testing.assert_close(*received, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "fading"), [("eiug", "ideal"), ("centralized", "awgn"), ("centralized", "ideal")])
def test_c22_a_thousand_prompts_take_hardly_more_memory_than_ten(protocol: str, fading: str, tmp_path: Path) -> None:
    """Of the shipped model's pictures of 128 x 128, as the command makes them."""
    few, many = (_peak_mb(number, protocol, fading, tmp_path / str(number)) for number in (10, 1000))
    assert many - few <= MOST_MORE_MB, (few, many)


def _peak_mb(num_prompts: int, protocol: str, fading: str, folder: Path) -> float:
    folder.mkdir()
    (folder / "prompts.txt").write_text(f"{RED}\n" * num_prompts)
    command = [sys.executable, "-m", "gainnet.cli", "generate", "--prompts", "prompts.txt", "--protocol", protocol]
    options = ["--model", "scenes", "--num-steps", "1", "--fading", fading, "--json", "--yes"]
    ran = subprocess.Popen([*command, *options], cwd=folder, stdout=subprocess.DEVNULL, env=os.environ)
    # Of this child alone: RUSAGE_CHILDREN would be the largest of all that ended so far.
    _, status, usage = os.wait4(ran.pid, 0)
    ran.returncode = os.waitstatus_to_exitcode(status)
    assert ran.returncode == 0
    return usage.ru_maxrss / 1024
