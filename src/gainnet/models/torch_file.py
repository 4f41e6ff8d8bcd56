"""Reading a file of `torch.save` in its format of before 2020 without ever unpickling it."""

from __future__ import annotations

import io
import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from gainnet.core.errors import ModelError
from gainnet.core.outside import reading

_REBUILD = "torch._utils _rebuild_tensor_v2"
_TYPES: Mapping[str, np.dtype[Any]] = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch LongStorage": np.dtype("<i8"),
}
_NAMES = {"collections OrderedDict", _REBUILD, *_TYPES}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: Mapping[str, type] = {"EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_LIST": list}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@final
@dataclass(frozen=True)
class _Named:
    """The name of what unpickling would import and call."""

    name: str


@final
@dataclass(frozen=True)
class _View:
    """A tensor [shape] whose values lie in a storage, from `offset` on and `stride` apart."""

    key: str
    kind: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


_MARK = _Named("mark")


def read_tensors(content: bytes, field: str = "weights") -> dict[str, Tensor]:
    """The tensors of a state dict, [shape as stored] by name.

    The instructions of its pickles are followed here, and only those that a state dict consists of: numbers, texts,
    tuples, lists, dicts and four names, none of which is imported or called. Everything else is an error, so that a
    file cannot run anything.

    Args:
        content: of the file: magic number, version, system, state dict, keys of its storages, storages.
        field: what is read, for errors.

    Raises:
        ModelError: the file is damaged, or holds an instruction or a name that no state dict needs.
    """
    file = io.BytesIO(content)
    with reading(field, ModelError):
        *_, views, keys = [_follow(file, field) for _ in range(5)]
        kinds = {view.key: _TYPES[view.kind] for view in views.values()}
        values = {key: _storage(file, kinds[key]) for key in keys}
        return {name: _tensor(values[view.key], view) for name, view in views.items()}


def _storage(file: io.BytesIO, kind: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """[number], the values of a storage: their number in eight bytes, then they."""
    number = int.from_bytes(file.read(8), "little")
    # A copy, because torch wants memory that it may write.
    return np.frombuffer(file.read(number * kind.itemsize), kind, number).copy()


def _tensor(values: np.ndarray[Any, Any], view: _View) -> Tensor:
    # torch refuses a view that leaves its storage.
    return torch.from_numpy(values).as_strided(view.shape, view.stride, view.offset).contiguous()


def _follow(file: io.BytesIO, field: str) -> Any:
    """The value that one pickle stands for."""
    stack: list[Any] = []
    memo: dict[object, Any] = {}
    for opcode, argument, _ in pickletools.genops(file):
        match opcode.name:
            case "PROTO" | "STOP":
                pass
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case name if name in _LITERALS:
                stack.append(argument)
            case name if name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            case name if name in _EMPTY:
                stack.append(_EMPTY[name]())
            case "MARK":
                stack.append(_MARK)
            case name if name in _SHORT_TUPLES:
                stack[-_SHORT_TUPLES[name] :] = [tuple(stack[-_SHORT_TUPLES[name] :])]
            case "TUPLE":
                items = _since_mark(stack)
                stack.append(tuple(items))
            case "APPENDS":
                items = _since_mark(stack)
                stack[-1].extend(items)
            case "SETITEM":
                *_, key, value = stack
                del stack[-2:]
                stack[-1][key] = value
            case "SETITEMS":
                items = _since_mark(stack)
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
            case "GLOBAL" if argument in _NAMES:
                stack.append(_Named(argument))
            case "BINPERSID":
                _, kind, key, _, _, _ = stack.pop()
                stack.append((kind.name, key))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(_made(stack.pop(), arguments))
            case "BUILD":
                # Attributes of the dict: versions of torch's modules.
                stack.pop()
            case _:
                what = f"{opcode.name} {argument or ''}".strip()
                raise ModelError(f"{field}: no state dict holds the instruction {what!r}; it is not read")
    return stack.pop()


def _since_mark(stack: list[Any]) -> list[Any]:
    """Entries of the stack since the last mark, which is removed with them."""
    # From the end, since a mark equals no value but itself.
    place = len(stack) - 1 - stack[::-1].index(_MARK)
    items = stack[place + 1 :]
    del stack[place:]
    return items


def _made(named: Any, arguments: tuple[Any, ...]) -> Any:
    """Outcome that a named function would have: an empty dict, or the description of a tensor."""
    if named == _Named(_REBUILD):
        (kind, key), offset, shape, stride, *_ = arguments
        return _View(key, kind, offset, shape, stride)
    if arguments:
        raise ValueError("a dict with content")
    return {}
