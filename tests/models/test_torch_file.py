"""Reading a state dict without unpickling it: equal to what torch saved, and no file runs anything."""

import io
import pickle

import pytest
import torch

from gainnet.core.errors import ModelError
from gainnet.models.torch_file import read_tensors


def saved(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def test_reads_what_torch_saved() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    state = network.state_dict()
    # Views that share a storage, begin inside it or are turned.
    state["turned"], state["part"] = torch.arange(6.0).view(2, 3).T, torch.arange(9.0)[3:5]
    found = read_tensors(saved(state))
    assert list(found) == list(state)
    assert all(torch.equal(found[name], x) and found[name].dtype == x.dtype for name, x in state.items())


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("ran",)


@pytest.mark.parametrize("value", [{"x": Trap()}, {"x": slice(1)}, {"x": 1.5}, {"x": torch.zeros(2).half()}])
def test_anything_else_is_refused(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match="weights: "):
        read_tensors(saved(value))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("cut", [0, 5, 200, -1])
def test_a_cut_file_is_refused(cut: int) -> None:
    with pytest.raises(ModelError, match="weights: "):
        read_tensors(saved({"x": torch.zeros(4)})[:cut])


def test_a_lone_pickle_is_refused() -> None:
    with pytest.raises(ModelError, match="weights: "):
        read_tensors(pickle.dumps({"x": 1}, protocol=2))
