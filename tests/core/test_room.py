"""Pictures of a large batch lie in a file, and memory holds those that are looked at."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gainnet.core import room
from gainnet.core.room import LEAST_BYTES, FiledStrings, give_back, in_file, pieces, room_for, room_for_strings
from gainnet.core.types import Bits

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they lie in memory")


def resident_bytes(x: Tensor) -> int:
    """Of the mapping that a tensor lies in, as the kernel counts them."""
    is_it, kilobytes = False, 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, *values = line.split()
        if not name.endswith(":"):
            begin, end = (int(place, 16) for place in name.split("-"))
            is_it = begin <= x.data_ptr() < end
        elif is_it and name == "Rss:":
            kilobytes += int(values[0])
    return 1024 * kilobytes


@pytest.mark.slow
@LINUX
def test_a_large_tensor_is_in_no_memory_but_for_the_piece_that_is_read() -> None:
    many = room_for((2 * LEAST_BYTES // 4 // 1024, 1024), torch.zeros(1))
    assert in_file(many)
    assert in_file(many[3:5])
    many.copy_(torch.arange(float(many.numel())).reshape(many.shape))
    assert resident_bytes(many) >= many.nbytes
    give_back(many)
    assert resident_bytes(many) == 0
    largest, total = 0, 0.0
    # Looking at the maps of a process takes longer than reading the tensor.
    for (some,) in pieces(many, num_items=1024):
        total += float(some.double().sum())
        largest = max(largest, resident_bytes(many))
    assert total == sum(range(many.numel()))
    # The kernel maps a few pages around those that are read, too.
    assert largest <= 1024 * 4096 + 2**18
    assert resident_bytes(many) <= 2**18


def test_what_is_small_or_not_ours_stays_as_it_is() -> None:
    small = room_for((3, 4), torch.zeros(1, dtype=torch.uint8))
    assert (small.shape, small.dtype, in_file(small)) == ((3, 4), torch.uint8, False)
    memory = torch.arange(LEAST_BYTES, dtype=torch.float32)
    give_back(memory)
    assert torch.equal(memory, torch.arange(LEAST_BYTES, dtype=torch.float32))


@LINUX
def test_a_mapping_that_keeps_its_changes_to_itself_is_not_given_back(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(2**16))
    private = torch.from_file(str(tmp_path / "x"), shared=False, size=2**14)
    private += 1.0
    give_back(private)
    assert float(private.sum()) == 2**14


def test_without_room_on_the_disk_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert not in_file(room_for((LEAST_BYTES,), torch.zeros(1)))


STRINGS = [b"first", None, b"", bytes(range(256)) * 40, b"last"]


def test_few_strings_are_a_tuple() -> None:
    assert room_for_strings(iter(STRINGS)) == tuple(STRINGS)
    assert isinstance(room_for_strings(STRINGS), tuple)


@LINUX
def test_many_strings_are_in_a_file_and_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LEAST_BYTES", 1)
    many = room_for_strings(iter(STRINGS))
    assert isinstance(many, FiledStrings)
    assert (len(many), list(many), many[3], many[-1], many[1:3]) == (5, STRINGS, STRINGS[3], b"last", (None, b""))
    assert many == tuple(STRINGS)
    assert Bits(many, (5,)) == Bits(tuple(STRINGS), (5,))
    assert many != (*STRINGS[:-1], b"lost")
    assert None in many
    with pytest.raises(IndexError):
        many[5]


@LINUX
@pytest.mark.parametrize("num_written", [0, 2])
def test_strings_for_which_the_disk_has_no_room_are_in_memory(
    num_written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "LEAST_BYTES", 1)
    pwrite, calls = os.pwrite, list[int]()

    def filling(*given: Any) -> int:
        calls.append(1)
        if len(calls) > num_written:
            raise OSError(28, "No space left on device")
        return pwrite(*given)

    monkeypatch.setattr(os, "pwrite", filling)
    assert room_for_strings(iter(STRINGS)) == tuple(STRINGS)
    assert isinstance(room_for_strings(iter(STRINGS)), tuple)


@LINUX
def test_nothing_of_the_file_is_seen_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.tempfile, "tempdir", str(tmp_path))
    many = room_for((LEAST_BYTES,), torch.zeros(1))
    assert in_file(many)
    strings = FiledStrings()
    strings.append(b"one")
    assert list(tmp_path.iterdir()) == []
