"""Tiny models of many architectures with random weights, as transformers builds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from gainnet.core.randomness import seeded

Kind = Literal["plain", "odd"]
"""Usual settings; or weights that are tied where they usually are not and the other way round, grouped queries, norms
after the blocks, other activations."""

Settings = dict[str, Any]

VOCABULARY: Final = 60
DROPOUT: Final = 0.1
WIDTH, BLOCKS, HEADS, POSITIONS = 16, 3, 2, 32
_ENDS: Final[Settings] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
# Weights of ten times the usual spread: logits are then of the size of one, and a difference would be seen.
_SPREAD: Final = 0.2
_COMMON: Final[Settings] = {
    "vocab_size": VOCABULARY, "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": BLOCKS,
    "num_attention_heads": HEADS, "max_position_embeddings": POSITIONS, "initializer_range": _SPREAD,
    "attention_dropout": DROPOUT, **_ENDS,
}  # fmt: skip


def build_model(architecture: str, kind: Kind, random_seed: int) -> Any:
    """A model in training mode, float32, with eager attention and dropout where the architecture has it.

    Args:
        architecture: a key of `ARCHITECTURES`.
        kind: of its settings.
        random_seed: of the weights.
    """
    with seeded(random_seed):
        model = ARCHITECTURES[architecture](kind == "odd")
    model.set_attn_implementation("eager")
    # Configurations name no mask token; the last word stands for it.
    model.config.mask_token_id = VOCABULARY - 1
    return model.float().train()


def _gpt2(odd: bool) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    settings: Settings = {"n_embd": WIDTH, "n_layer": BLOCKS, "n_head": HEADS, "n_positions": POSITIONS}
    settings |= {"bos_token_id": 1, "eos_token_id": 2, "initializer_range": _SPREAD, "tie_word_embeddings": not odd}
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, **settings))


def _llama(odd: bool) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**_COMMON, tie_word_embeddings=odd, num_key_value_heads=1 if odd else HEADS))


def _qwen(odd: bool) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return Qwen3ForCausalLM(Qwen3Config(**_COMMON, tie_word_embeddings=odd, num_key_value_heads=1, head_dim=8))


def _opt(odd: bool) -> Any:
    from transformers import OPTConfig, OPTForCausalLM

    settings: Settings = {"hidden_size": WIDTH, "ffn_dim": 2 * WIDTH, "num_hidden_layers": BLOCKS, **_ENDS}
    settings |= {"num_attention_heads": HEADS, "dropout": DROPOUT, "attention_dropout": DROPOUT, "init_std": _SPREAD}
    # As of OPT-350m: embeddings narrower than the blocks, and norms after them.
    settings |= {"word_embed_proj_dim": WIDTH // 2 if odd else WIDTH, "do_layer_norm_before": not odd}
    settings |= {"max_position_embeddings": POSITIONS, "tie_word_embeddings": not odd}
    return OPTForCausalLM(OPTConfig(vocab_size=VOCABULARY, **settings))


def _seq2seq(odd: bool) -> Settings:
    """Settings of BART and Pegasus."""
    sizes = {"d_model": WIDTH, "encoder_layers": BLOCKS, "decoder_layers": 2, "max_position_embeddings": POSITIONS}
    heads = dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), HEADS)
    widths = dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 2 * WIDTH)
    drop = {"dropout": DROPOUT, "attention_dropout": DROPOUT, "activation_dropout": DROPOUT, "init_std": _SPREAD}
    rest = {"decoder_start_token_id": 2, "scale_embedding": odd, "vocab_size": VOCABULARY}
    return {**sizes, **heads, **widths, **drop, **rest, **_ENDS}


def _bart(odd: bool) -> Any:
    from transformers import BartConfig, BartForConditionalGeneration

    return BartForConditionalGeneration(BartConfig(**_seq2seq(odd)))


def _pegasus(odd: bool) -> Any:
    from transformers import PegasusConfig, PegasusForConditionalGeneration

    return PegasusForConditionalGeneration(PegasusConfig(**_seq2seq(odd)))


def _t5(odd: bool) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    settings: Settings = {"d_model": WIDTH, "d_kv": 8, "d_ff": 2 * WIDTH, "num_layers": BLOCKS, "num_heads": HEADS}
    settings |= {"feed_forward_proj": "gated-gelu" if odd else "relu", "tie_word_embeddings": not odd}
    settings |= {"dropout_rate": DROPOUT, "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 2}
    return T5ForConditionalGeneration(T5Config(vocab_size=VOCABULARY, **settings))


def _bert(odd: bool) -> Any:
    from transformers import BertConfig, BertForMaskedLM, RobertaConfig, RobertaForMaskedLM

    settings: Settings = {key: value for key, value in _COMMON.items() if key != "attention_dropout"}
    settings |= dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), DROPOUT)
    return RobertaForMaskedLM(RobertaConfig(**settings)) if odd else BertForMaskedLM(BertConfig(**settings))


def _vit(odd: bool) -> Any:
    from transformers import ViTConfig, ViTForImageClassification

    settings: Settings = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": BLOCKS}
    settings |= dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), DROPOUT)
    settings |= {"num_attention_heads": HEADS, "initializer_range": _SPREAD, "num_labels": 5}
    settings |= {"image_size": 16 if odd else 8, "patch_size": 4, "num_channels": 1 if odd else 3}
    return ViTForImageClassification(ViTConfig(**settings))


def _mixture(odd: bool) -> Any:
    from transformers import MixtralConfig, MixtralForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

    experts: Settings = {"num_experts_per_tok": 2, "num_key_value_heads": 1, "tie_word_embeddings": odd, **_COMMON}
    if not odd:
        return MixtralForCausalLM(MixtralConfig(**experts, num_local_experts=4))
    experts |= {"num_experts": 4, "moe_intermediate_size": WIDTH, "head_dim": 8}
    return Qwen3MoeForCausalLM(Qwen3MoeConfig(**experts))


def _mamba(odd: bool) -> Any:
    from transformers import MambaConfig, MambaForCausalLM

    settings: Settings = {"hidden_size": WIDTH, "num_hidden_layers": BLOCKS, "state_size": 4, **_ENDS}
    settings |= {"initializer_range": _SPREAD, "tie_word_embeddings": not odd}
    return MambaForCausalLM(MambaConfig(vocab_size=VOCABULARY, **settings))


ARCHITECTURES: Final[Mapping[str, Callable[[bool], Any]]] = {
    "gpt2": _gpt2, "llama": _llama, "qwen": _qwen, "opt": _opt, "bart": _bart, "t5": _t5, "pegasus": _pegasus,
    "bert": _bert, "vit": _vit, "mixture": _mixture, "mamba": _mamba,
}  # fmt: skip
"""Makers by name; odd ones are Qwen3's mixture for `mixture`, and RoBERTa for `bert`."""
