r"""A denoiser stored as its difference to that of its teacher: whole numbers, and one step for each row of them.

    difference / step --round--> whole numbers of 8 bits --Huffman code of deflate--> 3 bits a weight
    teacher's weights (half precision) + step x whole number --single precision--> weights

A student that begins with the teacher's weights ends near them, so a few bits a weight say all that it has learned. The
file packs them itself, within 2 % of their entropy: the deflate of a wheel looks for repetitions, of which there are
none, and takes half a bit more.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from gainnet.core.errors import ModelError, system_reason
from gainnet.core.outside import reading

DIFFERENCE: Final = "difference.safetensors"
"""The file of a model's folder that holds it."""
TEACHER: Final = "teacher_sha256"
"""Entry of the file's header: digest of all weights of the teacher."""
STEP: Final = ".step"
"""Ends the name of the steps of a tensor."""
LARGEST: Final = 127


def rounded(difference: Tensor, fineness: float) -> tuple[Tensor, Tensor]:
    r"""Whole numbers $q$ and steps $s$ with $\lvert d - s q \rvert \le s / 2$.

    $s = \max(\sqrt{\overline{d^2}} / f,\ \max \lvert d \rvert / 127)$ over a row. A vector, such as a bias, is one row
    and as fine as 8 bits allow, since it takes no room.

    Args:
        difference: [rows, ...] or [n].
        fineness: $f$, steps in the root mean square of a row, above 0.

    Returns:
        Whole numbers, int8 of the same shape, and steps [rows, 1, ...] or [1], single precision.

    >>> rounded(torch.tensor([[0.0, 3.0], [0.0, 0.0]]), 2.0)[0].tolist()
    [[0, 3], [0, 0]]
    """
    rows = difference.float().flatten(1) if difference.dim() > 1 else difference.float().reshape(1, -1)
    step = rows.abs().amax(1) / LARGEST
    if difference.dim() > 1:
        step = torch.maximum(step, rows.square().mean(1).sqrt() / fineness)
    step = torch.where(step > 0, step, 1.0)[:, None]
    whole = (rows / step).round().to(torch.int8)
    return whole.reshape(difference.shape), step.reshape(-1, *[1] * (difference.dim() - 1))


def stored(student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], fineness: float) -> dict[str, Tensor]:
    """The tensors of the file, for weights of a student and of its teacher by name; `fineness` as of `rounded`.

    Args:
        student: name -> [...], weights.
        teacher: the same names and shapes.
        fineness: steps in the root mean square of a row.

    Returns:
        By name packed whole numbers, bytes [n], and by name with `.step` the steps.
    """
    found: dict[str, Tensor] = {}
    for name, weight in student.items():
        whole, found[f"{name}{STEP}"] = rounded(weight.float() - teacher[name].float(), fineness)
        packer = zlib.compressobj(9, zlib.DEFLATED, strategy=zlib.Z_HUFFMAN_ONLY)
        packed = packer.compress(whole.numpy().tobytes()) + packer.flush()
        found[name] = torch.frombuffer(bytearray(packed), dtype=torch.uint8)
    return found


def add_difference(folder: Path, network: nn.Module, teacher_sha256: str) -> None:
    """Makes the denoiser of a student of that of its teacher, in place.

    Args:
        folder: of the student.
        network: the teacher's, in single precision.
        teacher_sha256: digest of the teacher's weights.

    Raises:
        ModelError: the file is missing or damaged, or it is the difference to another model.
    """
    from safetensors import SafetensorError, safe_open

    path, weights = folder / DIFFERENCE, network.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            taught = (file.metadata() or {}).get(TEACHER, "")
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # the file is no dict
    except (OSError, SafetensorError) as error:
        raise ModelError(f"model: {path} is missing or damaged ({system_reason(error)}); install it again") from None
    if taught != teacher_sha256:
        digests = f"{taught[:12]}, not {teacher_sha256[:12]}"
        raise ModelError(f"model: {path} is a difference to another teacher ({digests}); install it again")
    if found.keys() != {*weights, *(f"{name}{STEP}" for name in weights)}:
        raise ModelError(f"model: {path} does not fit the denoiser of its teacher; install it again")
    with reading(f"model: {path}", ModelError):
        differences = {name: _unpacked(found[name], found[f"{name}{STEP}"], weights[name].shape) for name in weights}
    for name, difference in differences.items():
        # The entries of a state dict are the network's own tensors.
        weights[name] += difference


def _unpacked(packed: Tensor, step: Tensor, shape: torch.Size) -> Tensor:
    """[*shape], step x whole number in single precision; raises `ValueError` where they do not fit."""
    num_values, rows = shape.numel(), shape[:1] if len(shape) > 1 else torch.Size([1])
    try:
        # One byte more than there may be, so that a longer content is seen and a bomb is not unpacked.
        content = zlib.decompressobj().decompress(packed.numpy().tobytes(), num_values + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(content) != num_values or step.shape != (*rows, *[1] * (len(shape) - 1)) or not bool(step.isfinite().all()):
        raise ValueError("shapes")
    return step.float() * torch.frombuffer(bytearray(content), dtype=torch.int8).reshape(shape)
