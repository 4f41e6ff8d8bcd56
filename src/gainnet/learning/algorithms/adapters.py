"""Soft prompts, LoRA and adapters on a locked backbone, through PEFT; the only file that imports it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gainnet.core.errors import ConfigError, check_name, check_range, import_extra
from gainnet.models.language_families import language_family_of

Form = Literal["soft_prompt", "lora", "adapter", "lora_b"]
FORMS: tuple[Form, ...] = ("soft_prompt", "lora", "adapter", "lora_b")
"""Trained parameters: virtual tokens in front (Lester et al. 2021), low-rank updates of all linear maps in the blocks
(Hu et al. 2022; of experts, too, where PEFT knows the mixture), infused adapters that rescale keys, values and hidden
units (Liu et al. 2022), or low-rank updates whose first factors stay as they were drawn (FFA-LoRA, Sun et al. 2024):
what is averaged is then linear in them."""


def require_peft() -> Any:
    """The library PEFT; raises `MissingExtraError` when it is not installed."""
    return import_extra("peft", "peft", "learning")


def attach(model: Any, form: Form, size: int, random_seed: int = 0) -> Any:
    """A model with something to train on a locked backbone, which has the values of `model` and their memory.

    Args:
        model: of transformers.
        form: what is trained.
        size: virtual tokens of a soft prompt, rank of LoRA; an adapter has no size.
        random_seed: of the first values.

    Raises:
        ConfigError: an unknown form, a size below 1, or an architecture that PEFT has no adapter for.
        MissingExtraError: PEFT is not installed.
    """
    check_name("form", form, FORMS)
    check_range(size >= 1, "rank", size, "1 or more")
    # Modules are copied and values shared. Parameters are views, so that the model itself is not locked with them: it
    # would train nothing afterwards, and say nothing of it.
    shared: dict[int, Any] = {id(p): nn.Parameter(p.detach(), p.requires_grad) for p in model.parameters()}
    peft = require_peft()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers for a property by its old name
        warnings.filterwarnings("ignore", message="fan_in_fan_out")  # it finds out for itself how GPT-2 stores maps
        warnings.filterwarnings("ignore", message="The following (rank|alpha)_pattern keys")  # of experts
        torch.manual_seed(random_seed)
        try:
            # PEFT changes the model that it is given; a copy keeps the whole one usable.
            adapted = peft.get_peft_model(copy.deepcopy(model, shared), _config(peft, model, form, size))
        except ValueError as error:
            reason = f"form: {form} does not fit this model ({str(error).splitlines()[0]})"
            # The library asks for settings that we do not offer: what can be chosen here is another algorithm.
            raise ConfigError(f"{reason}; choose another of lora, soft_prompt and adapter, or fedavg or fsl") from None
    # PEFT begins in training mode around parts that are not: whoever put that back later would turn dropout on.
    adapted.train(model.training)
    if form == "lora_b":
        for name, p in adapted.named_parameters():
            # From a random seed that everybody knows, so that nobody has to send them.
            p.requires_grad_(".lora_B." in name)
    return adapted


def values_of_adapter(model: Any) -> dict[str, Tensor]:
    """Copies of what is trained, by PEFT's names."""
    found: Mapping[str, Tensor] = require_peft().get_peft_model_state_dict(model)
    locked = {name.replace(".default", "") for name, p in model.named_parameters() if not p.requires_grad}
    return {name: x.detach().to("cpu", copy=True) for name, x in sorted(found.items()) if name not in locked}


def load_adapter(model: Any, values: Mapping[str, Tensor]) -> None:
    """Copies values into what is trained; what they do not name stays."""
    require_peft().set_peft_model_state_dict(model, {name: x.float() for name, x in values.items()})


def fold(model: Any) -> Any:
    """A model of its own with LoRA or an adapter multiplied into its weights."""
    return copy.deepcopy(model).merge_and_unload()


def denoiser_of(model: Any) -> nn.Module:
    """The denoiser of a model of pictures that was trained, with what was trained multiplied into its weights."""
    found: nn.Module = (fold(model) if hasattr(model, "peft_config") else model).unet
    return found


def save_denoiser_adapter(model: Any, folder: Path) -> None:
    """Writes LoRA of a denoiser as PEFT reads it for the bare network, and as the pipelines of diffusers read it.

    adapter_config.json, adapter_model.safetensors: `PeftModel.from_pretrained(pipeline.unet, folder)`;
    pytorch_lora_weights.safetensors: `pipeline.load_lora_weights(folder)`

    Args:
        model: of PEFT, around a `TrainedDenoiser`.
        folder: is there.
    """
    # Whether embeddings changed would otherwise be asked of a hub; there are none.
    found: Mapping[str, Tensor] = require_peft().get_peft_model_state_dict(model, save_embedding_layers=False)
    # Names begin with that of the module that rounds of learning call; whoever loads them has its network alone.
    values = {name.removeprefix(_AROUND): x.detach().cpu().contiguous() for name, x in found.items()}
    (config,) = model.peft_config.values()
    config.save_pretrained(folder)
    save_file({f"base_model.model.{name}": x for name, x in values.items()}, folder / "adapter_model.safetensors")
    save_file({f"unet.{name}": x for name, x in values.items()}, folder / "pytorch_lora_weights.safetensors")


_AROUND: Final = "base_model.model.unet."


def _config(peft: Any, model: Any, form: Form, size: int) -> Any:
    family = language_family_of(model)
    task = family.peft_task
    if form == "soft_prompt":
        if task is None:
            raise ValueError(f"models of the family {family.name} take no virtual tokens, choose lora")
        # Embeddings of OPT-350m are narrower than its blocks, whose width PEFT would take.
        width = int(model.get_input_embeddings().weight.shape[1])
        return peft.PromptTuningConfig(task_type=task, num_virtual_tokens=size, token_dim=width)
    if form in ("lora", "lora_b"):
        maps = getattr(model, "adapted_maps", "all-linear")  # a model of one's own may name them
        # Kernels of Mamba read these weights without calling the maps, so that PEFT refuses them.
        mamba = maps == "all-linear" and "mamba" in str(model.config.model_type)
        unfit = ["out_proj", "conv1d"] if mamba else None
        # alpha = rank: the update is B A whatever the rank, so that updates of different ranks are comparable.
        return peft.LoraConfig(task_type=task, r=size, lora_alpha=size, target_modules=maps, exclude_modules=unfit)
    return peft.IA3Config(task_type=task)
