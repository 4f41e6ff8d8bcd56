"""Price lists of larger models are counted, not remembered."""

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.models.counting import count_flops
from gainnet.protocols.pricing import SHIPPED, pricing
from toy_parts import Add


def half_precision_bytes(*modules):
    return 2.0 * sum(p.numel() for module in modules for p in module.parameters())


def test_a_role_is_priced_per_pass_and_others_cost_what_they_cost():
    denoiser = Add("x", "y", 0.0, role="denoiser", num_passes=20)
    assert pricing("sd15").flops(denoiser) == pytest.approx(20 * 803.273e9)
    assert pricing("sd15").flops(Add("x", "y", 0.0)) == 1e9
    assert SHIPPED.flops(denoiser) == 1e9
    assert pricing("sdxl").memory_bytes(denoiser) > pricing("sd15").memory_bytes(denoiser)


def test_an_unknown_price_list_is_named():
    with pytest.raises(ConfigError, match="sd15, sdxl, shipped"):
        pricing("gpt")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_the_tables_are_what_torch_counts(name):
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    with torch.device("meta"):
        size = {"sd15": 64, "sdxl": 128}[name]
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
        )
        large = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
                hidden_act="quick_gelu",
            )
        )  # fmt: skip
        big = CLIPTextModelWithProjection(
            CLIPTextConfig(
                hidden_size=1280,
                intermediate_size=5120,
                num_hidden_layers=32,
                num_attention_heads=20,
                hidden_act="gelu",
                projection_dim=1280,
            )
        )
        encoders = {"sd15": (large,), "sdxl": (large, big)}[name]
        unet = {
            "sd15": lambda: UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8),
            "sdxl": lambda: UNet2DConditionModel(
                block_out_channels=(320, 640, 1280),
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
                transformer_layers_per_block=[1, 2, 10],
                attention_head_dim=[5, 10, 20],
                cross_attention_dim=2048,
                addition_embed_type="text_time",
                addition_time_embed_dim=256,
                projection_class_embeddings_input_dim=2816,
                use_linear_projection=True,
            ),
        }[name]()
        added = {"text_embeds": torch.zeros(1, 1280), "time_ids": torch.zeros(1, 6)} if name == "sdxl" else {}
        ids, latent = torch.zeros(1, 77, dtype=torch.long), torch.zeros(1, 4, size, size)
        width = unet.config.cross_attention_dim
        counted = {
            "text_encoder": sum(count_flops(lambda e=e: e(ids)) for e in encoders),
            "denoiser": count_flops(lambda: unet(latent, 1, torch.zeros(1, 77, width), added_cond_kwargs=added)),
            "decoder": count_flops(lambda: vae.decode(latent)),
            "image_encoder": count_flops(lambda: vae.encode(torch.zeros(1, 3, 8 * size, 8 * size))),
        }
    held = {
        "text_encoder": half_precision_bytes(*encoders),
        "denoiser": half_precision_bytes(unet),
        "decoder": half_precision_bytes(vae.decoder, vae.post_quant_conv),
        "image_encoder": half_precision_bytes(vae.encoder, vae.quant_conv),
    }
    for role, price in pricing(name).price_of_role.items():
        assert price.flops_per_pass == pytest.approx(counted[role], rel=1e-3)
        assert price.memory_bytes == pytest.approx(held[role], rel=2e-3)
