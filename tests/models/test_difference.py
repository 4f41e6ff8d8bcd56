"""A student that is stored as the difference to its teacher: near the whole one, and refused where anything differs."""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.generation.selfcheck import check_weights
from gainnet.models.difference import DIFFERENCE, STEP, TEACHER, rounded
from gainnet.models.drafts import draft_part
from gainnet.models.late import load_late
from gainnet.models.loading import SHIPPED, find_folder, home_of, load_model, shipped_models, weights_sha256
from gainnet.models.shipped import describe_model, describe_models, present_models, suited_model, unknown_words
from gainnet.models.students import Fast, find_student, install_student, open_student
from gainnet.service.exports import export_device
from gainnet.service.node.digests import different, part_digests
from gainnet.training.export import ROOM_BYTES, pack_student

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize("fineness", [0.5, 3.0, 64.0])
@pytest.mark.parametrize("shape", [(7,), (5, 6), (4, 3, 3, 3)])
def test_an_error_is_at_most_half_a_step(shape: tuple[int, ...], fineness: float) -> None:
    difference = torch.randn(shape, generator=torch.Generator().manual_seed(len(shape))).pow(3)
    whole, step = rounded(difference, fineness)
    assert (whole.dtype, whole.shape, step.dtype) == (torch.int8, shape, torch.float32)
    assert bool(((step * whole - difference).abs() <= step * 0.500001).all())
    nothing, _ = rounded(torch.zeros(shape), fineness)
    assert int(nothing.abs().max()) == 0


@pytest.fixture(scope="module")
def family(small_stable_diffusion: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small teacher, a whole student of it, and beside both the same student packed."""
    folder = tmp_path_factory.mktemp("family")
    teacher, whole = folder / "teacher", folder / "whole"
    shutil.copytree(small_stable_diffusion, teacher)
    shutil.copytree(teacher, whole)
    generator = torch.Generator().manual_seed(5)
    weights = load_file(teacher / UNET)
    moved = {name: x + 0.02 * torch.randn(x.shape, generator=generator).to(x.dtype) for name, x in weights.items()}
    save_file(moved, whole / UNET, {"format": "pt"})
    steps = {"steps": 4, "batch_size": 2}
    trained = {"teacher_sha256": weights_sha256(teacher), "random_seed": 3, "cpu_s": 1, "steps": steps}
    (whole / "trained.json").write_text(json.dumps(trained))
    generation = {"num_inference_steps": 2, "guidance_scale": 1.0}
    (whole / "gainnet.json").write_text(json.dumps({"generation": generation}))
    pack_student(whole, folder / "packed", str(teacher))
    return folder


@pytest.mark.slow
def test_what_is_packed_is_the_student_within_half_a_step(family: Path) -> None:
    listed = sorted(path.name for path in (family / "packed").rglob("*"))
    assert listed == ["README.md", DIFFERENCE, "gainnet.json", "trained.json"]
    packed, whole = (load_model(str(family / name)) for name in ("packed", "whole"))
    found, wanted = (model.pipeline.unet.state_dict() for model in (packed, whole))
    with safe_open(family / "packed" / DIFFERENCE, framework="pt") as file:
        for name, weight in wanted.items():
            assert bool(((found[name] - weight).abs() <= 0.501 * file.get_tensor(f"{name}{STEP}")).all())
    for part in ("text_encoder", "vae"):
        own, taught = (getattr(model.pipeline, part).state_dict() for model in (packed, whole))
        assert all(torch.equal(own[name], weight) for name, weight in taught.items())
    again = load_model(str(family / "packed")).pipeline.unet.state_dict()
    assert all(torch.equal(again[name], weight) for name, weight in found.items())
    assert packed.sha256 == weights_sha256(family / "packed") != whole.sha256
    assert packed.latents_sha256 == weights_sha256(family / "teacher")
    assert (packed.denoiser.num_steps, packed.denoiser.guidance_scale) == (2, 1.0)
    # Nothing was written on the way.
    assert sorted(path.name for path in (family / "packed").rglob("*")) == listed


@pytest.mark.slow
def test_the_finest_difference_that_fits_is_taken(family: Path, tmp_path: Path) -> None:
    for room in (120_000, 200_000):
        folder = pack_student(family / "whole", tmp_path / str(room), str(family / "teacher"), room)
        assert 0.9 * room < (folder / DIFFERENCE).stat().st_size <= room
    with pytest.raises(ModelError, match="no difference fits into 1000 bytes"):
        pack_student(family / "whole", tmp_path / "none", str(family / "teacher"), 1000)
    assert not (tmp_path / "none").exists()


def test_only_a_student_is_packed_and_outside_of_the_package(family: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="was not distilled from scenes"):
        pack_student(family / "whole", tmp_path / "out")
    with pytest.raises(ConfigError, match="lies in the package"):
        pack_student(family / "whole", find_folder("scenes").parent / "scenes_fast")
    other = tmp_path / "other"
    shutil.copytree(family / "whole", other)
    path = next((other / "vae").glob("*.safetensors"))
    save_file({name: x + 1 for name, x in load_file(path).items()}, path, {"format": "pt"})
    with pytest.raises(ModelError, match="its vae is not that of"):
        pack_student(other, tmp_path / "out", str(family / "teacher"))


Change = Callable[[dict[str, Tensor], dict[str, str]], object]
FIRST = "conv_in.weight"


def shorten(found: dict[str, Tensor], header: Mapping[str, str]) -> None:
    content = zlib.decompress(found[FIRST].numpy().tobytes())[:-1]
    found[FIRST] = torch.frombuffer(bytearray(zlib.compress(content)), dtype=torch.uint8)


def lengthen(found: dict[str, Tensor], header: Mapping[str, str]) -> None:
    found[FIRST] = torch.frombuffer(bytearray(zlib.compress(bytes(100_000_000))), dtype=torch.uint8)


CHANGES: list[tuple[Change, str]] = [
    (lambda found, header: header.update({TEACHER: "0" * 64}), "is a difference to another teacher"),
    (lambda found, header: header.clear(), "is a difference to another teacher"),
    (lambda found, header: found.pop(FIRST), "does not fit the denoiser"),
    (lambda found, header: found.update(more=torch.zeros(1)), "does not fit the denoiser"),
    (lambda found, header: found[f"{FIRST}{STEP}"].fill_(float("nan")), "cannot be read"),
    (lambda found, header: found.update({f"{FIRST}{STEP}": torch.ones(1)}), "cannot be read"),
    (lambda found, header: found.update({FIRST: torch.ones(50, dtype=torch.uint8)}), "cannot be read"),
    (shorten, "cannot be read"),
    (lengthen, "cannot be read"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_what_does_not_fit_is_refused_in_one_line(family: Path, tmp_path: Path, change: Change, said: str) -> None:
    folder = tmp_path / "packed"
    shutil.copytree(family / "packed", folder)
    (tmp_path / "teacher").symlink_to(family / "teacher")
    with safe_open(folder / DIFFERENCE, framework="pt") as file:
        header, found = dict(file.metadata()), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(found, header)
    save_file(found, folder / DIFFERENCE, header)
    with pytest.raises(ModelError, match=said) as refused:
        load_model(str(folder))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("named", ["teacher", "../teacher", "..", ""])
def test_a_teacher_is_a_name_and_no_path(family: Path, tmp_path: Path, named: str) -> None:
    folder = tmp_path / "inside" / "packed"
    shutil.copytree(family / "packed", folder)
    (tmp_path / "teacher").symlink_to(family / "teacher")
    own = json.loads((folder / "gainnet.json").read_text())
    (folder / "gainnet.json").write_text(json.dumps(own | {"teacher": named}))
    with pytest.raises(ModelError, match=re.escape(f"is the difference to {named!r}, which is not here")):
        load_model(str(folder))


@pytest.mark.slow
def test_the_shipped_form_is_a_model_like_any_other(packed_student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(packed_student))
    assert shipped_models() == (*SHIPPED, "scenes_fast")
    folder, teacher = find_folder("scenes_fast"), load_model("scenes")
    assert (folder / DIFFERENCE).stat().st_size <= ROOM_BYTES
    assert home_of(folder) == find_folder("scenes")
    assert describe_models()[2] == describe_models()[0] | {"name": "scenes_fast"}
    shown = describe_model("scenes_fast")
    assert (shown["family"], shown["sampler"]) == ("sd", "DDIMScheduler")
    assert shown["card"].startswith("# scenes_fast")
    assert "$" not in shown["card"]
    # Words alone never choose it, and an edge serves it when it is asked to.
    assert suited_model(["a red star"]) == "scenes"
    assert present_models() == SHIPPED
    assert unknown_words("scenes_fast", ["a red dragon"]) == unknown_words("scenes", ["a red dragon"])
    assert check_weights("", folder, "gainnet.json")["passed"]
    assert different(part_digests(folder), part_digests(find_folder("scenes"))) == ("unet",)
    model, late = load_model("scenes_fast"), load_late("scenes_fast", weights_sha256(folder))
    latent = torch.randn(1, *model.latent.shape, generator=torch.Generator().manual_seed(1))
    pictures = [each.decoder({"latent": latent}, Random.of([1]))["image"] for each in (late, model, teacher)]
    assert all(torch.allclose(picture, pictures[2], atol=1e-5) for picture in pictures[:2])
    assert (late.latents_sha256, late.denoiser.num_steps) == (teacher.sha256, 2)
    with pytest.raises(ModelError, match="scenes_fast is stored as a difference"):
        export_device(model, packed_student / "device")
    assert not (packed_student / "device").exists()


@pytest.mark.slow
def test_a_shipped_student_drafts_for_its_teacher_until_another_one_is_installed(
    packed_student: Path, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(packed_student, tmp_path / "home")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    teacher, random = load_model("scenes"), Random.of([11])
    shipped = find_student(teacher.sha256)
    assert shipped == find_folder("scenes_fast")
    tensors = {"prompt": text_to_tensor(["a red star"])} | teacher.prior({}, random)
    tensors |= teacher.text_encoder(tensors, random)
    assert draft_part(teacher, "fast-2").num_passes == 2
    packed = tmp_path / "home" / "gainnet" / "models" / "scenes_fast"
    draft = Fast(open_student(packed, 2).denoiser)(tensors, random)["draft"]
    installed = install_student(student)
    assert find_student(teacher.sha256) == installed != shipped
    whole = draft_part(teacher, "fast-2")(tensors, random)["draft"]
    # Both are the same student, one of them rounded.
    assert 0 < float((draft - whole).square().mean()) < 1e-4
