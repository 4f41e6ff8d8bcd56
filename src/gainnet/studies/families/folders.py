"""Small folders of every family with random weights: each component of the real ones, and nothing to download."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gainnet.core.randomness import seeded
from gainnet.models.quiet import quiet

NUM_TOKENS: Final = 12
"""Length of the texts of the small encoders with positions."""
WIDTH: Final = 32
"""Of token embeddings."""
SIDES: Final = {"plain": (16, 16), "odd": (16, 24)}
"""Height and width of the pictures in pixels; the odd folders are no squares."""

_UNET: Final = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
_FLOW: Final = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
_VELOCITY: Final = {"prediction_type": "v_prediction"}
_TRAILING: Final = {"timestep_spacing": "trailing"}

SETTINGS: Final[Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]] = {
    "ddim": (
        {"steps_offset": 1, "clip_sample": False},
        {"clip_sample": False, "rescale_betas_zero_snr": True, "steps_offset": 1, **_VELOCITY, **_TRAILING},
    ),
    "ddpm": (
        {"clip_sample": False, "steps_offset": 1},
        {"clip_sample": False, "steps_offset": 1, **_VELOCITY, **_TRAILING},
    ),
    "pndm": ({"skip_prk_steps": True, "steps_offset": 1}, {"steps_offset": 1, **_VELOCITY}),
    "euler": ({}, {"use_karras_sigmas": True, **_VELOCITY}),
    "euler_ancestral": ({}, {**_VELOCITY, **_TRAILING}),
    "heun": ({}, {"use_karras_sigmas": True, **_VELOCITY}),
    "dpm": ({}, {"solver_order": 3, "use_karras_sigmas": True, "prediction_type": "sample", "thresholding": True}),
    "unipc": ({}, {"solver_order": 3, **_VELOCITY, **_TRAILING}),
    "lcm": ({}, {"original_inference_steps": 40, **_VELOCITY}),
    "edm": ({}, {"sigma_schedule": "exponential", **_VELOCITY}),
    "flow": ({"shift": 3.0}, {"use_dynamic_shifting": True}),
}
"""Settings of the two folders of each sampler, the usual one and an odd one; UNets also get the usual noise."""

_TRANSFORMER: Final[Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]] = {
    # Not the stochastic kind: these pipelines do not hand their generator to it.
    "dpm": (_FLOW, {"solver_order": 3, "flow_shift": 3.0, **_FLOW}),
    "unipc": (_FLOW, {"solver_order": 3, "flow_shift": 3.0, **_FLOW}),
}


def build_folder(folder: Path, family: str, sampler: str, kind: str = "plain", random_seed: int = 0) -> Path:
    """A folder in diffusers' format, in float32.

    Args:
        folder: that is written.
        family: name in `FAMILIES`.
        sampler: name in `SAMPLERS`.
        kind: `plain` or `odd`, which setting of the sampler it has.
        random_seed: of the weights.
    """
    with seeded(random_seed), quiet():
        pipeline = _PIPELINES[family](_scheduler(family, sampler, kind), kind)
        pipeline.save_pretrained(folder, safe_serialization=True)
    height, width = SIDES[kind]
    generation = {"num_inference_steps": 4, "guidance_scale": 3.0, "height": height, "width": width}
    (folder / "gainnet.json").write_text(json.dumps({"generation": generation}), encoding="utf-8")
    return folder


def _scheduler(family: str, sampler: str, kind: str) -> Any:
    import diffusers

    from gainnet.models.samplers import SAMPLERS

    own = family in ("sd3", "flux")
    settings = (_TRANSFORMER if own else {}).get(sampler, SETTINGS[sampler])[kind == "odd"]
    if family == "flux" and sampler == "dpm":
        # Its pipeline always gives the shift that follows from the number of tokens.
        settings = {**settings, "use_dynamic_shifting": True, "time_shift_type": "exponential"}
    noise = {} if own or sampler in ("edm", "flow") else _UNET
    return getattr(diffusers, SAMPLERS[sampler])(**noise, **settings)


def tokenizer() -> Any:
    """A CLIP tokenizer that knows letters."""
    from transformers import CLIPTokenizer

    letters = [*string.ascii_lowercase, *(c + "</w>" for c in string.ascii_lowercase)]
    vocabulary = {token: i for i, token in enumerate(["<|startoftext|>", "<|endoftext|>", *letters])}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=NUM_TOKENS)


def text_encoder(is_projected: bool = False) -> Any:
    """A CLIP text encoder of two layers."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=54, hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=NUM_TOKENS, bos_token_id=0, eos_token_id=1, pad_token_id=1, projection_dim=WIDTH,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if is_projected else CLIPTextModel)(config)


def t5() -> tuple[Any, Any]:
    """A T5 encoder of one layer and a tokenizer that knows letters."""
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((c, -3.0) for c in string.ascii_lowercase)]
    config = T5Config(vocab_size=64, d_model=WIDTH, d_kv=8, d_ff=64, num_layers=1, num_heads=2)
    return T5EncoderModel(config), T5Tokenizer(vocab=pieces, extra_ids=0)


def unet(kind: str, is_distilled: bool, **options: Any) -> Any:
    """A UNet of two levels; a distilled one takes guidance as an input."""
    from diffusers import UNet2DConditionModel

    height, width = (side // 2 for side in SIDES[kind])
    return UNet2DConditionModel(
        sample_size=height if height == width else [height, width], block_out_channels=(16, 32), layers_per_block=1,
        norm_num_groups=8, attention_head_dim=2, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), time_cond_proj_dim=16 if is_distilled else None, **options,
    )  # fmt: skip


def autoencoder(num_channels: int, **options: Any) -> Any:
    """An autoencoder that halves the sides."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(16, 16), norm_num_groups=8, down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=num_channels, sample_size=16, **options,
    )  # fmt: skip


def _sd(scheduler: Any, kind: str) -> Any:
    from diffusers import StableDiffusionPipeline

    distilled = kind == "odd" and type(scheduler).__name__ == "LCMScheduler"
    network = unet(kind, distilled, cross_attention_dim=WIDTH)
    parts = autoencoder(4), text_encoder(), tokenizer(), network, scheduler
    return StableDiffusionPipeline(*parts, None, None, None, requires_safety_checker=False)


def _sdxl(scheduler: Any, kind: str) -> Any:
    from diffusers import StableDiffusionXLPipeline

    distilled = kind == "odd" and type(scheduler).__name__ == "LCMScheduler"
    # Two encoders' embeddings side by side; six numbers of the size, embedded, beside the pooled text.
    network = unet(
        kind, distilled, cross_attention_dim=2 * WIDTH, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=WIDTH + 6 * 8,
    )  # fmt: skip
    # As of Playground 2.5, whose latents are scaled channel by channel.
    scales = {"latents_mean": [0.1, -0.2, 0.3, 0.0], "latents_std": [1.1, 0.9, 1.0, 1.2]} if kind == "odd" else {}
    texts = text_encoder(), text_encoder(is_projected=True), tokenizer(), tokenizer()
    return StableDiffusionXLPipeline(autoencoder(4, **scales), *texts, network, scheduler, add_watermarker=False)


def _sd3(scheduler: Any, kind: str) -> Any:
    from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline

    network = SD3Transformer2DModel(
        sample_size=16, patch_size=2, in_channels=16, num_layers=2, attention_head_dim=8, num_attention_heads=4,
        joint_attention_dim=2 * WIDTH if kind == "odd" else WIDTH * 2, caption_projection_dim=32,
        pooled_projection_dim=2 * WIDTH, out_channels=16, pos_embed_max_size=24,
    )  # fmt: skip
    # Many run without the third encoder, which is by far the largest: zeros stand for its tokens.
    encoder, pieces = (None, None) if kind == "odd" else _wide_t5()
    texts = text_encoder(is_projected=True), tokenizer(), text_encoder(is_projected=True), tokenizer()
    return StableDiffusion3Pipeline(
        network, scheduler, autoencoder(16, scaling_factor=1.5305, shift_factor=0.0609), *texts, encoder, pieces
    )


def _wide_t5() -> tuple[Any, Any]:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=64, d_model=2 * WIDTH, d_kv=8, d_ff=64, num_layers=1, num_heads=2)
    return T5EncoderModel(config), t5()[1]


def _flux(scheduler: Any, kind: str) -> Any:
    from diffusers import FluxPipeline, FluxTransformer2DModel

    # With guidance as an input, as of FLUX.1 dev, and without, as of schnell.
    network = FluxTransformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=WIDTH, pooled_projection_dim=WIDTH, guidance_embeds=kind == "odd", axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    vae, (encoder, pieces) = autoencoder(4, scaling_factor=0.3611, shift_factor=0.1159), t5()
    return FluxPipeline(scheduler, vae, text_encoder(), tokenizer(), encoder, pieces, network)


_PIPELINES: Final = {"sd": _sd, "sdxl": _sdxl, "sd3": _sd3, "flux": _flux}
