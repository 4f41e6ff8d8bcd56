"""A picture says where it comes from, and a changed pixel is found."""

from __future__ import annotations

import io
import json
import socket
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from gainnet.cli import app
from gainnet.core.errors import ConfigError, PayloadError
from gainnet.service.provenance import (
    COMPOSITE,
    GENERATED,
    DeviceKey,
    Found,
    Receipt,
    Signer,
    configuration_digest,
    mark,
    spelled,
    verify,
)
from gainnet.wire.keys import write_signing_keys

MODEL = {"model": "scenes", "sha256": "ab" * 32}
STATED = {"source_type": GENERATED, "payload": "cd" * 32, "configuration": configuration_digest("a-1", {}), **MODEL}


def picture(kind: str = "png", seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 24, 3), np.uint8)).save(file, kind)
    return file.getvalue()


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def with_changed_pixel(png: bytes) -> bytes:
    """One step of brightness in one pixel; all else of the file as it was."""
    with Image.open(io.BytesIO(png)) as image:
        pixels = np.asarray(image).copy()
    pixels[3, 5, 1] ^= 1
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    changed = b"".join(body for name, body in chunks(file.getvalue()) if name == b"IDAT")
    written, is_done = [png[:8]], False
    for name, body in chunks(png):
        if name == b"IDAT":
            body, is_done = (b"" if is_done else changed), True
        written.append(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)))
    return b"".join(written)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    keys = tmp_path_factory.mktemp("keys")
    write_signing_keys(keys)
    return keys


@pytest.fixture(scope="module")
def signer(folder: Path) -> Signer:
    return Signer(folder)


@pytest.fixture
def checked(tmp_path: Path, folder: Path):
    def check(content: bytes, root: Path | None = folder / "root.pem") -> Found:
        (tmp_path / "picture").write_bytes(content)
        return verify(tmp_path / "picture", root)

    return check


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_signed_picture_holds(signer: Signer, checked, kind: str) -> None:
    signed, cost = signer.sign(picture(kind), kind, MODEL)
    found = checked(signed)
    assert found == Found("c2pa", GENERATED, "gainnet edge", "signed", MODEL)
    assert cost.num_bytes == len(signed) - len(picture(kind))
    with Image.open(io.BytesIO(signed)) as one, Image.open(io.BytesIO(picture(kind))) as other:
        assert one.tobytes() == other.tobytes()


def test_the_prompt_is_there_only_when_asked_for(signer: Signer, checked) -> None:
    unnamed, _ = signer.sign(picture(), "png", MODEL, is_changed=True)
    named, _ = signer.sign(picture(), "png", MODEL, prompt="a red star")
    assert b"a red star" not in unnamed
    assert checked(unnamed).source_type == COMPOSITE
    assert checked(named).stated == {**MODEL, "prompt": "a red star"}


def test_a_changed_pixel_is_found(signer: Signer, checked) -> None:
    signed, _ = signer.sign(picture(), "png", MODEL)
    changed = with_changed_pixel(signed)
    found = checked(changed)
    assert found.pixels == "changed"
    assert found.problems == ("the picture was changed after it was signed",)
    with Image.open(io.BytesIO(changed)) as image, Image.open(io.BytesIO(signed)) as before:
        assert np.count_nonzero(np.asarray(image) != np.asarray(before)) == 1


def test_a_signer_is_trusted_by_its_root_alone(signer: Signer, checked, tmp_path: Path) -> None:
    write_signing_keys(tmp_path / "other")
    signed, _ = signer.sign(picture(), "png", MODEL)
    other = checked(signed, tmp_path / "other" / "root.pem")
    assert other.pixels == "signed"
    assert other.problems == ("its signer is not vouched for by this root",)
    assert checked(signed, None).problems == ("who signed it is not known; give the root of the edge with --root",)


def test_a_picture_of_a_device_holds(signer: Signer, checked, tmp_path: Path) -> None:
    key, png = DeviceKey(), picture()
    sealed = key.seal(signer.receipt(**STATED, device_key=key.public), png)
    assert Receipt.of_text(sealed.to_text()) == sealed
    marked = mark(png, GENERATED, sealed.to_text())
    found = checked(marked)
    assert (found.evidence, found.source_type, found.signer) == ("receipt", GENERATED, "gainnet edge")
    assert (found.pixels, found.problems) == ("signed", ())
    assert found.stated is not None
    assert {name: found.stated[name] for name in STATED} == STATED
    assert checked(with_changed_pixel(marked)).problems == ("the picture was changed after its device had made it",)
    write_signing_keys(tmp_path / "other")
    assert checked(marked, tmp_path / "other" / "root.pem").problems == ("its signer is not vouched for by this root",)
    assert len(checked(marked, None).problems) == 1


def test_a_receipt_fits_no_other_picture(signer: Signer, checked) -> None:
    key, other = DeviceKey(), picture(seed=1)
    receipt = signer.receipt(**STATED, device_key=key.public)
    # Whoever has the file has the receipt, and can make a key; but the edge has signed for another one.
    forged = DeviceKey().seal(receipt, other)
    problems = ("the receipt is for a payload; no device has signed these pixels",)
    assert checked(mark(other, GENERATED, forged.to_text())).problems == problems
    stated = receipt.statement.replace(STATED["payload"], "00" * 32)
    lie = key.seal(replace(receipt, statement=stated), other)
    assert checked(mark(other, GENERATED, lie.to_text())).problems == ("its signature is not that of its signer",)


def test_what_nobody_signed_does_not_hold(checked) -> None:
    assert checked(picture()).evidence == "nothing"
    found = checked(mark(picture(), GENERATED))
    assert (found.evidence, found.source_type) == ("mark", GENERATED)
    assert spelled(found) == [
        "made    by a model", "pixels  signed by nobody", "does not hold: nobody has signed it: it only says so",
    ]  # fmt: skip


def test_a_strangers_words_do_not_steer_the_terminal(signer: Signer, checked) -> None:
    signed, _ = signer.sign(picture(), "png", MODEL, prompt="\x1b[2Jall of it holds")
    assert "prompt  ?[2Jall of it holds" in spelled(checked(signed))


def test_nobody_else_is_asked(checked) -> None:
    """A picture may name an address of a manifest; to look there would tell its owner who looks."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/manifest.c2pa"
        xmp = (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            f'<rdf:Description rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="{address}"/>'
            "</rdf:RDF></x:xmpmeta>"
        )
        file = io.BytesIO()
        with Image.open(io.BytesIO(picture())) as image:
            image.save(file, "jpeg", xmp=xmp.encode())
        found = checked(file.getvalue())
        with pytest.raises(TimeoutError):
            listener.accept()
    assert found.problems


@pytest.mark.parametrize("xmp", ["<x", "<!DOCTYPE x [<!ENTITY a 'b'>]><x/>", "<x>" * 2000])
def test_damaged_xmp_is_one_error(checked, xmp: str) -> None:
    file = io.BytesIO()
    with Image.open(io.BytesIO(picture())) as image:
        image.save(file, "jpeg", xmp=xmp.encode())
    with pytest.raises(PayloadError, match="picture: its XMP"):
        checked(file.getvalue())


def test_a_damaged_receipt_is_one_error(checked) -> None:
    for text in ("####", "e30=", "bm8="):
        with pytest.raises(PayloadError, match="receipt"):
            checked(mark(picture(), GENERATED, text))


def test_keys_that_are_missing_or_damaged_are_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"signer: .*root\.pem cannot be read"):
        Signer(tmp_path)
    for name in ("root.pem", "signer.pem", "signer.key"):
        (tmp_path / name).write_text("none")
    with pytest.raises(ConfigError, match="are damaged"):
        Signer(tmp_path)
    assert (folder / "signer.key").stat().st_mode & 0o077 == 0


def test_the_command_says_what_holds(tmp_path: Path) -> None:
    run, keys, file = CliRunner().invoke, tmp_path / "keys", tmp_path / "picture.png"
    assert run(app, ["trust", "keys", str(keys), "--name", "edge of the library"]).exit_code == 0
    signed, _ = Signer(keys).sign(picture(), "png", MODEL)
    file.write_bytes(signed)
    command = ["trust", "verify", str(file), "--root", str(keys / "root.pem")]
    held = run(app, command)
    assert held.exit_code == 0
    assert held.output.splitlines()[-1] == "all of it holds"
    assert "edge of the library" in held.output
    file.write_bytes(with_changed_pixel(signed))
    broken = run(app, [*command, "--json"])
    assert broken.exit_code == 1
    assert json.loads(broken.output)["problems"] == ["the picture was changed after it was signed"]
