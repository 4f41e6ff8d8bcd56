"""Finding a model: the shipped one, a folder, or a hub id in the local cache; never a pickle."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gainnet.core.errors import ConfigError, ModelError, check_range
from gainnet.core.outside import read_json
from gainnet.core.weights import user_folder
from gainnet.models.apart import Sides, take_apart
from gainnet.models.difference import DIFFERENCE, add_difference
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.families import Family, family_of
from gainnet.models.quiet import quiet

if TYPE_CHECKING:
    import torch

SHIPPED = ("scenes", "emoji")
"""Shipped models that draw, of which words decide."""
FAST = ("scenes_fast",)
"""Students of theirs with the same words, which are there where their weights are."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5")
CODE = (".py",)


def load_model(
    name: str = "scenes",
    num_steps: int | None = None,
    guidance_scale: float | None = None,
    torch_device: str = "cpu",
    online: bool = False,
    height: int | None = None,
    width: int | None = None,
) -> DiffusionModel:
    """A pipeline of a family of latent diffusion models, taken apart.

    Args:
        name: of a shipped model (`shipped_models`), a folder in diffusers' format, or a hub id.
        num_steps: sampler steps, 1 to 1000; the model's own default when `None`.
        guidance_scale: guidance, >= 1; the model's own default when `None`.
        torch_device: where torch runs it.
        online: whether a hub id may be downloaded; otherwise the local cache has to hold it.
        height: of the picture in pixels; the model's own when `None`.
        width: likewise.

    Raises:
        ModelError: the folder is missing, truncated or holds a pickle or code, or its model needs more than a prompt.
        ConfigError: a number is out of range, or torch has no such device.
    """
    folder, device = find_folder(name, online), torch_device_of(torch_device)
    steps, guidance = sampling_of(folder, num_steps, guidance_scale)
    # Whatever can be wrong with what was asked for, before weights are read.
    sides, family = sides_of(folder, height, width), read_family(folder, name)
    pipeline = _open_whole(folder, name, family)
    # Moving looks at every parameter of every network, also where nothing has to move.
    pipeline = pipeline if pipeline.device == device else pipeline.to(device)
    model = take_apart(name, weights_sha256(folder), pipeline, steps, guidance, sides, family)
    return replace(model, teacher_sha256=teacher_of(folder))


def sides_of(folder: Path, height: int | None, width: int | None) -> Sides | None:
    """Height and width of a picture in pixels, asked for or of `gainnet.json`; `None` leaves them to the model.

    Raises:
        ConfigError: one of the two is known alone, or below 1.
    """
    defaults = generation_defaults(folder)
    tall, broad = (
        defaults.get("height") if height is None else height,
        defaults.get("width") if width is None else width,
    )
    if tall is None and broad is None:
        return None
    # Before the other side is missed: a side of no pixels is the mistake that was made.
    for field, side in (("height", tall), ("width", broad)):
        check_range(side is None or int(side) >= 1, field, side, "1 pixel or more")
    if tall is None or broad is None:
        raise ConfigError(f"{'height' if tall is None else 'width'}: give both sides of the picture, or none")
    return int(tall), int(broad)


def sampling_of(folder: Path, num_steps: int | None, guidance_scale: float | None) -> tuple[int, float]:
    """Steps and guidance of the sampler of a model's folder; arguments and errors as `load_model`."""
    defaults = generation_defaults(folder)
    steps = int(defaults["num_inference_steps"]) if num_steps is None else num_steps
    guidance = float(defaults["guidance_scale"]) if guidance_scale is None else guidance_scale
    check_range(1 <= steps <= 1000, "num_steps", steps, "1 to 1000")
    check_range(1.0 <= guidance <= 100.0, "guidance_scale", guidance, "1 to 100, where 1 means no guidance")
    return steps, guidance


def torch_device_of(name: str) -> torch.device:
    """The torch device of that name; raises `ConfigError` when it is not usable here.

    >>> torch_device_of("cpu")
    device(type='cpu')
    """
    import torch

    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"torch_device: torch has no {name!r} on this machine; leave it out for the processor"
        ) from error
    return device


def find_folder(name: str, online: bool = False) -> Path:
    """The folder of a model; raises `ModelError` with what to mend."""
    names = shipped_models()
    if name in names:
        if (shipped := _shipped(name)) is None:
            raise ModelError(
                f"model: the weights of {name!r} are not in this version; make them with `gainnet train {name}` and "
                f"give their folder, or move it to {_places(name)[1]}"
            )
        return shipped
    path = Path(name).expanduser()
    give = f"give {', '.join(names)}, a folder in diffusers' format or a hub id as owner/name"
    if not name.strip():
        raise ModelError(f"model: the name is empty; {give}")
    # A folder comes before a hub id: what lies here is never fetched from elsewhere.
    if path.is_dir():
        _refuse_unsafe(path)
        return path
    if path.exists() or name.count("/") != 1 or name.startswith(("/", ".", "~")):
        meant = "".join(f"did you mean {close}? " for close in get_close_matches(name.lower(), names, 1))
        raise ModelError(f"model: {name!r} is not a folder; {meant}{give}")
    return _from_hub(name, online)


def shipped_models() -> tuple[str, ...]:
    """Names of the models that come with the package: those that draw, then the fast ones whose weights are here.

    >>> shipped_models()[0]
    'scenes'
    """
    return (*SHIPPED, *fast_models())


def fast_models() -> tuple[str, ...]:
    """Names of the fast models that come with the package, where their weights are here."""
    return tuple(name for name in FAST if _shipped(name) is not None)


def _shipped(name: str) -> Path | None:
    return next((place for place in _places(name) if place.is_dir()), None)


def _places(name: str) -> tuple[Path, Path]:
    # The package first: what lies elsewhere never takes the place of weights that published numbers stand on.
    return Path(__file__).parent / "pretrained" / name, user_folder() / "models" / name


def home_of(folder: Path) -> Path:
    """Where configurations, words and shared weights of a model lie: in its own folder, or in that of its teacher.

    A student that is stored as a difference (`gainnet.models.difference`) names its teacher in `gainnet.json`: a folder
    beside its own, or a shipped model.

    Args:
        folder: of the model.

    Raises:
        ModelError: `gainnet.json` is damaged, or the teacher is not here.
    """
    if not (folder / DIFFERENCE).is_file():
        return folder
    path = folder / "gainnet.json"
    try:
        named = str(json.loads(path.read_text(encoding="utf-8"))["teacher"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"model: {path} is damaged ({error!r}); it needs the name of a teacher") from None
    # A name and no path: what a folder says never leads out of the one that it lies in.
    if re.fullmatch(r"\w[\w.-]*", named) and (folder.parent / named / "model_index.json").is_file():
        return folder.parent / named
    if named not in SHIPPED:
        raise ModelError(f"model: {folder} is the difference to {named!r}, which is not here; put it beside")
    return find_folder(named)


def generation_defaults(folder: Path) -> dict[str, Any]:
    """Steps and guidance that a model asks for under `generation` in `gainnet.json`, else 50 steps and 7.5.

    Raises:
        ModelError: the file is there and damaged.
    """
    path = folder / "gainnet.json"
    defaults: dict[str, Any] = {"num_inference_steps": 50, "guidance_scale": 7.5}
    if not path.is_file():
        return defaults
    try:
        found: dict[str, Any] = defaults | json.loads(path.read_text(encoding="utf-8"))["generation"]
        return found | {
            "num_inference_steps": int(found["num_inference_steps"]),
            "guidance_scale": float(found["guidance_scale"]),
        }
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"model: {path} is damaged ({error}); it needs generation with num_inference_steps") from error


def teacher_of(folder: Path) -> str:
    """Digest of the model that a folder's was distilled from, of its `trained.json`; empty where it was not.

    Raises:
        ModelError: the file is damaged.
    """
    path = folder / "trained.json"
    if not path.is_file():
        return ""
    trained = read_json(path.read_bytes(), str(path), ModelError)
    # Folders of other programs may hold a file of this name.
    return str(trained.get("teacher_sha256", "")) if isinstance(trained, dict) else ""


def weights_sha256(folder: Path) -> str:
    """One digest over all weight files of a folder, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        # Names count, too: the same tensors in another part are another model.
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _refuse_unsafe(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PICKLES:
            raise ModelError(f"model: {path} may hold a pickle, which is never loaded; convert it to safetensors")
        if path.suffix.lower() in CODE:
            raise ModelError(f"model: {path} is code, which is never run from a model folder; remove it")


def _from_hub(name: str, online: bool) -> Path:
    from huggingface_hub import snapshot_download

    allowed = ["*.json", "*.txt", "*.safetensors"]
    try:
        folder = Path(snapshot_download(name, local_files_only=not online, allow_patterns=allowed))
    except (OSError, ValueError) as error:
        hint = "check the id and the connection" if online else "download it once with --online, or give a folder"
        raise ModelError(f"model: {name!r} is neither a folder nor in the local cache; {hint}") from error
    _refuse_unsafe(folder)
    return folder


def reason_of(error: Exception) -> str:
    """The first line of an error's message, or its type where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def read_family(folder: Path, name: str) -> Family:
    """The family of a folder, from its configurations alone.

    Args:
        folder: of the model.
        name: how it was asked for.

    Raises:
        ModelError: it is of no known family, or needs an input beside a prompt.
    """
    index = read_index(folder, name)
    family = family_of(str(index.get("_class_name")))
    if missing := family.refusal(index, lambda component: _config(folder, component, name)):
        raise ModelError(
            f"model: {name!r} also needs {missing}, which a prompt does not give; take a model of text alone"
        )
    return family


def read_index(folder: Path, name: str) -> Mapping[str, Any]:
    """`model_index.json` of a folder; arguments and errors as of `read_family`."""
    if not (home_of(folder) / "model_index.json").is_file():
        raise ModelError(f"model: {folder} has no model_index.json; give a folder in diffusers' format")
    return _config(folder, "", name, "model_index.json")


def _config(folder: Path, component: str, name: str, file: str = "config.json") -> Mapping[str, Any]:
    path = home_of(folder) / component / file
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if not isinstance(found, dict):
            raise ValueError(f"{file} is no object")
    except (OSError, ValueError) as error:
        raise ModelError(f"model: {name!r} cannot be loaded, is it complete? ({reason_of(error)})") from error
    return found


UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
"""Components that text-to-image does without; their folders may be missing."""


def open_pipeline(folder: Path, name: str, family: Family, networks: Mapping[str, Any] | None = None) -> Any:
    """The diffusers pipeline of a folder, computed in float32 whatever its files hold.

    Args:
        folder: of the model.
        name: how it was asked for.
        family: of the model.
        networks: by part, in the place of those whose weights would be read.

    Raises:
        ModelError: it cannot be loaded, or weights are missing or not finite.
    """
    import torch

    given, index = dict(networks or {}), read_index(folder, name)
    options: dict[str, Any] = {"dtype": torch.float32, "variant": variant_of(folder / family.denoiser)}
    options |= {component: None for component in UNUSED if component in index}
    # What a folder leaves out on purpose, as the third encoder of SD 3, has to be said again.
    options |= {component: None for component, named in index.items() if named == [None, None]}
    if "safety_checker" in index:
        options["requires_safety_checker"] = False
    try:
        with quiet():
            # Already the import has something to say, of packages that are not there and not needed.
            pipeline = family.pipeline().from_pretrained(
                folder, local_files_only=True, use_safetensors=True, **options, **given
            )
    except Exception as error:  # the libraries raise what they like on damaged files
        raise ModelError(f"model: {name!r} cannot be loaded, is it complete? ({reason_of(error)})") from error
    pipeline.set_progress_bar_config(disable=True)
    for part in sorted({*networks_of(family, index)} - given.keys()):
        _refuse_incomplete(getattr(pipeline, part), folder / part, name)
    return pipeline


def _open_whole(folder: Path, name: str, family: Family) -> Any:
    """The pipeline of a folder whose weights are all here, or of a difference and its teacher."""
    home = home_of(folder)
    pipeline = open_pipeline(home, name, family)
    if home != folder:
        add_difference(folder, getattr(pipeline, family.denoiser), weights_sha256(home))
    return pipeline


def networks_of(family: Family, index: Mapping[str, Any]) -> tuple[str, ...]:
    """Components of a model that hold weights, of `model_index.json`; some encoders may be left out on purpose."""
    return tuple(part for part in (*family.encoders, family.denoiser, "vae") if index.get(part, [None])[0] is not None)


def variant_of(folder: Path) -> str | None:
    """The variant of a component's weights, as in `model.fp16.safetensors`; `None` where there are plain ones.

    Args:
        folder: of the component.
    """
    variants = {_variant(path) for path in folder.glob("*.safetensors")}
    return None if None in variants or not variants else sorted(map(str, variants))[0]


def _variant(path: Path) -> str | None:
    # A shard's number stands behind the variant: model.fp16-00001-of-00002.safetensors.
    stem = re.sub(r"-\d{5}-of-\d{5}$", "", path.name.removesuffix(".safetensors"))
    return stem.partition(".")[2] or None


def _refuse_incomplete(part: Any, folder: Path, name: str) -> None:
    """The libraries fill in what a file lacks; a model with invented weights is not the one that was asked for."""
    from safetensors import safe_open

    num_stored, variant = 0, variant_of(folder)
    for path in (path for path in folder.glob("*.safetensors") if _variant(path) == variant):
        with safe_open(path, framework="pt") as file:
            slices = [file.get_slice(key) for key in file.keys()]  # noqa: SIM118  # the file is no dict
            num_stored += sum(math.prod(s.get_shape()) for s in slices if not s.get_dtype().startswith(("I", "U")))
    parameters = list(part.parameters())
    if any(p.is_meta for p in parameters) or num_stored < sum(p.numel() for p in parameters):
        raise ModelError(f"model: {name!r} lacks weights of its {folder.name}; it is not complete")
    if not all(math.isfinite(float(p.detach().sum())) for p in parameters):
        raise ModelError(f"model: {name!r} has weights in its {folder.name} that are not finite")
