"""Writing what was trained as folders that diffusers and the package load: half precision, whole or not at all."""

from __future__ import annotations

import copy
import hashlib
import json
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors.torch import load_file, save, save_file
from torch import nn

from gainnet.core.errors import ModelError
from gainnet.core.files import check_outside_package, write_folder, write_json, write_whole
from gainnet.core.weights import CONFIG
from gainnet.models.attributes import WEIGHTS, AttributeClassifier
from gainnet.models.autoencoder import SceneAutoencoder
from gainnet.models.difference import DIFFERENCE, TEACHER, rounded, stored
from gainnet.models.loading import find_folder, read_family, teacher_of, weights_sha256
from gainnet.models.scenes import ATTRIBUTES
from gainnet.training.denoiser import build_scheduler

if TYPE_CHECKING:
    from transformers import CLIPTextModel, PreTrainedTokenizerBase

M = TypeVar("M", bound=nn.Module)

ROOM_BYTES = 1_800_000
"""Of the weights of a student, which a wheel packs no further."""
FINENESS = tuple(2.0 ** (k / 8) for k in range(48, -9, -1))
"""Steps of 8 bits in the root mean square of a row, from the finest that helps to the coarsest that is worth it."""
CARD = Path(__file__).with_name("few_steps_card.md")

GENERATION = {"num_inference_steps": 10, "guidance_scale": 3.0, "height": 128, "width": 128}


def weight_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every weight file of a folder, by its path inside it."""
    files = sorted(folder.rglob("*.safetensors"))
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _halved(model: M) -> M:
    # torch's own method: those of diffusers' models warn of what only matters when half precision computes
    return nn.Module.half(copy.deepcopy(model).cpu())


def assembled(
    autoencoder: SceneAutoencoder, text_encoder: CLIPTextModel, tokenizer: PreTrainedTokenizerBase, denoiser: nn.Module
) -> Any:
    """Diffusers' pipeline of networks; arguments as of `write_pipeline`."""
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=denoiser,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def write_pipeline(
    autoencoder: SceneAutoencoder,
    text_encoder: CLIPTextModel,
    tokenizer: PreTrainedTokenizerBase,
    denoiser: nn.Module,
    kind: str,
    generation: Mapping[str, Any],
    trained: Mapping[str, Any],
    folder: Path,
    files: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """A folder that `StableDiffusionPipeline.from_pretrained` loads.

    Beside the parts it holds `gainnet.json` (how to generate, SHA-256 of the weights) and `trained.json`.

    Args:
        autoencoder: its `vae`.
        text_encoder: its `text_encoder`.
        tokenizer: its `tokenizer`.
        denoiser: its `unet`.
        kind: name of the model, for `gainnet.json`.
        generation: steps, guidance, height and width in pixels that it asks for.
        trained: how it was trained, for `trained.json`.
        folder: where to write.
        files: further files by name: a text, bytes, or what JSON holds.
    """

    def fill(beside: Path) -> None:
        assembled(_halved(autoencoder), _halved(text_encoder), tokenizer, _halved(denoiser)).save_pretrained(beside)
        _name_home(beside / "model_index.json")
        for name, content in {**files, "trained.json": trained}.items():
            if isinstance(content, str | bytes):
                write_whole(beside / name, content.encode() if isinstance(content, str) else content)
            else:
                write_json(beside / name, content)
        config = {"kind": kind, "generation": generation, "sha256": weight_hashes(beside)}
        write_json(beside / "gainnet.json", config)

    return write_folder(folder, fill)


def _name_home(index: Path) -> None:
    """Name the package instead of the module, because diffusers only looks where `import gainnet` has been."""
    named = json.loads(index.read_text())
    write_json(index, named | {"vae": ["gainnet.models", SceneAutoencoder.__name__]})


def write_classifier(network: AttributeClassifier, folder: Path, how: Mapping[str, Any]) -> Path:
    """A folder that `AttributeClassifier.from_pretrained` loads, in half precision.

    Args:
        network: what is written.
        folder: its place.
        how: further entries of `config.json`, on its training.
    """

    def fill(beside: Path) -> None:
        weights = {name: value.detach().cpu().half().contiguous() for name, value in network.state_dict().items()}
        save_file(weights, beside / WEIGHTS)
        config = {
            "kind": network.design.kind,
            "widths": list(network.design.widths),
            "hidden": network.design.hidden,
            "attributes": ATTRIBUTES,
            **how,
            "sha256": weight_hashes(beside),
        }
        write_json(beside / CONFIG, config)

    return write_folder(folder, fill)


def pack_student(folder: Path, out: Path, teacher: str = "scenes", num_bytes: int = ROOM_BYTES) -> Path:
    """The form in which a student is shipped: what its denoiser adds to its teacher's, as fine as the room allows.

    student, teacher --difference--> whole numbers and steps --Huffman code--> at most so many bytes

    `load_model` opens the folder beside that of its teacher, and that of a shipped teacher's anywhere. In the package
    as `models/pretrained/scenes_fast`, or in the user's folder as `models/scenes_fast`, it is found by its name.

    Args:
        folder: of the student, as `train_few_steps` writes it.
        out: the new folder; outside of the package.
        teacher: name or folder of its teacher; the last part of it is what the new folder says.
        num_bytes: of the file of weights, at most.

    Raises:
        ModelError: the student is of another teacher or differs in more than its denoiser, or the room is too small.
        ConfigError: `out` lies in the package or cannot be written.
    """
    check_outside_package(out)
    home = find_folder(teacher)
    sha256 = weights_sha256(home)
    if teacher_of(folder) != sha256:
        raise ModelError(f"student: {folder} was not distilled from {teacher}; give its teacher")
    part = read_family(home, teacher).denoiser
    own, taught = _weights_by_part(folder), _weights_by_part(home)
    for name in sorted((own.keys() | taught.keys()) - {part}):
        if not _same(own.get(name, {}), taught.get(name, {})):
            raise ModelError(f"student: its {name} is not that of {teacher}; give a folder of gainnet train few-steps")
    content, error = _packed(own[part], taught[part], sha256, num_bytes)
    generation = json.loads((folder / "gainnet.json").read_text(encoding="utf-8"))["generation"]
    trained = json.loads((folder / "trained.json").read_text(encoding="utf-8"))

    def fill(beside: Path) -> None:
        write_whole(beside / DIFFERENCE, content)
        write_json(beside / "trained.json", trained | {"whole_sha256": weights_sha256(folder)})
        write_whole(beside / "README.md", _card(own[part], content, error, trained).encode())
        config = {"kind": out.name, "teacher": home.name, "generation": generation, "sha256": weight_hashes(beside)}
        write_json(beside / "gainnet.json", config)

    return write_folder(out, fill)


def _weights_by_part(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {path.parent.name: load_file(path) for path in sorted(folder.glob("*/*.safetensors"))}


def _same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def _packed(
    student: Mapping[str, torch.Tensor], teacher: Mapping[str, torch.Tensor], sha256: str, num_bytes: int
) -> tuple[bytes, float]:
    """The finest file of weights that fits, and the share of the difference that it leaves out, root mean square."""
    if {k: x.shape for k, x in student.items()} != {k: x.shape for k, x in teacher.items()}:
        raise ModelError("student: its denoiser has other shapes than its teacher's; give its teacher")

    def content(fineness: float) -> bytes:
        return save(stored(student, teacher, fineness), {"format": "pt", TEACHER: sha256})

    # Ever coarser, ever smaller: the first that fits is found by halves.
    found = bisect_left(FINENESS, True, key=lambda fineness: len(content(fineness)) <= num_bytes)
    if found == len(FINENESS):
        raise ModelError(f"student: no difference fits into {num_bytes} bytes; give more, or ship it whole")
    return content(FINENESS[found]), _left_out(student, teacher, FINENESS[found])


def _left_out(student: Mapping[str, torch.Tensor], teacher: Mapping[str, torch.Tensor], fineness: float) -> float:
    left, whole = 0.0, 0.0
    for name, weight in student.items():
        difference = weight.float() - teacher[name].float()
        numbers, step = rounded(difference, fineness)
        left += float((difference - step * numbers).square().sum())
        whole += float(difference.square().sum())
    return (left / whole) ** 0.5 if whole else 0.0


def _card(weights: Mapping[str, torch.Tensor], content: bytes, error: float, trained: Mapping[str, Any]) -> str:
    steps = trained["steps"]
    num_weights = sum(x.numel() for x in weights.values())
    return Template(CARD.read_text(encoding="utf-8")).substitute(
        millions=f"{num_weights / 1e6:.2f}", megabytes=f"{len(content) / 1e6:.2f}",
        bits=f"{8 * len(content) / num_weights:.1f}", error=f"{100 * error:.1f}",
        steps=f"{steps['steps']:,}", batch_size=steps["batch_size"],
        num_samples=f"{steps['steps'] * steps['batch_size']:,}", cpu_s=f"{trained['cpu_s']:,}",
        random_seed=trained["random_seed"], teacher=trained["teacher_sha256"],
    )  # fmt: skip
