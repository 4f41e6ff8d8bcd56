"""Finding a model: the shipped one, a folder, or a hub id in the local cache; never a pickle."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gainnet.core.errors import ConfigError, ModelError, check_range
from gainnet.models.diffusion import DiffusionModel, take_apart

if TYPE_CHECKING:
    import torch

SHIPPED = ("scenes", "emoji")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5")
CODE = (".py",)


def load_model(
    name: str = "scenes",
    num_steps: int | None = None,
    guidance_scale: float | None = None,
    torch_device: str = "cpu",
    online: bool = False,
) -> DiffusionModel:
    """A pipeline of the Stable Diffusion family, taken apart.

    Args:
        name: `scenes` or `emoji` (shipped), a folder in diffusers' format, or a hub id.
        num_steps: sampler steps, 1 to 1000; the model's own default when `None`.
        guidance_scale: classifier-free guidance, >= 1; the model's own default when `None`.
        torch_device: where torch runs it.
        online: whether a hub id may be downloaded; otherwise the local cache has to hold it.

    Raises:
        ModelError: the folder is missing, truncated or holds a pickle or code.
        ConfigError: a number is out of range, or torch has no such device.
    """
    folder = find_folder(name, online)
    steps, guidance = sampling_of(folder, num_steps, guidance_scale)
    pipeline = open_pipeline(folder, name).to(torch_device_of(torch_device))
    return take_apart(name, weights_sha256(folder), pipeline, steps, guidance)


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
        raise ConfigError(f"torch_device: {name!r} is not usable here; give for example cpu or cuda") from error
    return device


def find_folder(name: str, online: bool = False) -> Path:
    """The folder of a model; raises `ModelError` with what to mend."""
    if name in SHIPPED:
        shipped = Path(__file__).parent / "pretrained" / name
        if not shipped.is_dir():
            raise ModelError(
                f"model: the weights of {name!r} are not in this version; make them with `gainnet train {name}` and "
                "give their folder"
            )
        return shipped
    path = Path(name).expanduser()
    if not name.strip():
        raise ModelError("model: the name is empty; give 'scenes', a folder in diffusers' format or a hub id")
    # A folder comes before a hub id: what lies here is never fetched from elsewhere.
    if path.is_dir():
        _refuse_unsafe(path)
        return path
    if path.exists() or name.count("/") != 1 or name.startswith(("/", ".", "~")):
        raise ModelError(f"model: {name!r} is not a folder; give 'scenes', a folder in diffusers' format or a hub id")
    return _from_hub(name, online)


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


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars and advice that the libraries print while loading."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    loggers = diffusers_logging, transformers_logging
    levels = [logger.get_verbosity() for logger in loggers]
    for logger in loggers:
        logger.set_verbosity_error()
        logger.disable_progress_bar()
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.set_verbosity(level)
            logger.enable_progress_bar()


def open_pipeline(folder: Path, name: str, networks: Mapping[str, Any] | None = None) -> Any:
    """The diffusers pipeline of a folder, computed in float32.

    Args:
        folder: of the model.
        name: how it was asked for.
        networks: by part, in the place of those whose weights would be read.

    Raises:
        ModelError: it cannot be loaded, or weights are missing or not finite.
    """
    import torch

    given = dict(networks or {})

    if not (folder / "model_index.json").is_file():
        raise ModelError(f"model: {folder} has no model_index.json; give a folder in diffusers' format")
    options = {"safety_checker": None, "requires_safety_checker": False, "dtype": torch.float32}
    try:
        with quiet():
            # Already the import has something to say, of packages that are not there and not needed.
            from diffusers import StableDiffusionPipeline

            pipeline = StableDiffusionPipeline.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, **options, **given
            )
    except Exception as error:  # the libraries raise what they like on damaged files
        raise ModelError(f"model: {name!r} cannot be loaded, is it complete? ({reason_of(error)})") from error
    pipeline.set_progress_bar_config(disable=True)
    for part in sorted({"text_encoder", "unet", "vae"} - given.keys()):
        _refuse_incomplete(getattr(pipeline, part), folder / part, name)
    return pipeline


def _refuse_incomplete(part: Any, folder: Path, name: str) -> None:
    """The libraries fill in what a file lacks; a model with invented weights is not the one that was asked for."""
    from safetensors import safe_open

    num_stored = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            slices = [file.get_slice(key) for key in file.keys()]  # noqa: SIM118  # the file is no dict
            num_stored += sum(math.prod(s.get_shape()) for s in slices if not s.get_dtype().startswith(("I", "U")))
    parameters = list(part.parameters())
    if any(p.is_meta for p in parameters) or num_stored < sum(p.numel() for p in parameters):
        raise ModelError(f"model: {name!r} lacks weights of its {folder.name}; it is not complete")
    if not all(math.isfinite(float(p.detach().sum())) for p in parameters):
        raise ModelError(f"model: {name!r} has weights in its {folder.name} that are not finite")
