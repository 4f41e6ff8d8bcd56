"""Training the text encoder: its output tokens have to contain the attributes that a caption names."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW

from gainnet.core.randomness import seeded
from gainnet.models import scenes
from gainnet.training.loop import Stage

if TYPE_CHECKING:
    from transformers import CLIPTextModel, PreTrainedTokenizerBase


def build_text_encoder(
    tokenizer: PreTrainedTokenizerBase, random_seed: int, hidden_size: int, num_layers: int
) -> CLIPTextModel:
    """CLIP's text model, small and with fresh weights, for the tokens of a tokenizer."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=4 * hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=max(1, hidden_size // 32),
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=hidden_size,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with seeded(random_seed):
        return CLIPTextModel(config)


def tokens_of(tokenizer: PreTrainedTokenizerBase, captions: list[str]) -> Tensor:
    """[n, length], token indices, padded and cut to the tokenizer's length as diffusers' pipeline does."""
    length = tokenizer.model_max_length
    tokens = tokenizer(captions, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return cast(Tensor, tokens.input_ids)


class AttributeReader(nn.Module):
    """One learned query per attribute that looks at the tokens once and names a class.

    tokens [b, 24, d] -> attention of 8 queries -> [b, 8, d] -> one linear layer each -> logits

    Args:
        hidden_size: width $d$ of the tokens.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(scenes.ATTRIBUTES), hidden_size))
        self.key = nn.Linear(hidden_size, hidden_size)
        self.heads = nn.ModuleList(nn.Linear(hidden_size, num_classes) for num_classes in scenes.ATTRIBUTES.values())

    def forward(self, tokens: Tensor) -> list[Tensor]:
        # One look without values or residuals: what is read must be in the tokens themselves.
        weights = (self.queries @ self.key(tokens).mT / tokens.shape[-1] ** 0.5).softmax(-1)
        read = weights @ tokens
        return [head(read[:, k]) for k, head in enumerate(self.heads)]


def attribute_loss(logits: list[Tensor], labels: Tensor) -> Tensor:
    """Cross entropy of logits [n, num_classes] per attribute and labels [n, 8], summed over those that are named."""
    losses = [
        functional.cross_entropy(logit, label, ignore_index=scenes.UNNAMED, reduction="sum")
        # Per attribute, so that one that captions rarely name counts as much as one that they always name.
        / (label != scenes.UNNAMED).sum().clamp(1)
        for logit, label in zip(logits, labels.unbind(1), strict=True)
    ]
    return torch.stack(losses).sum()


def text_encoder_stage(
    encoder: CLIPTextModel, random_seed: int, num_steps: int, batch_size: int, torch_device: torch.device
) -> Stage:
    """Text encoder and attribute reader together, on fresh captions at every step; the reader is thrown away after."""
    # Another random seed than the encoder's, whose first weights would otherwise recur in the reader.
    with seeded(random_seed + 1):
        reader = AttributeReader(encoder.config.hidden_size)
    model = nn.ModuleDict({"encoder": encoder, "reader": reader}).to(torch_device)
    tokenizer = scenes.build_tokenizer()

    def loss(step: int) -> Tensor:
        rng = scenes.stream(random_seed, "text_encoder", step)
        captions = scenes.write_captions(scenes.draw_scenes(batch_size, rng), rng)
        labels = scenes.caption_labels([scenes.parse(caption) for caption in captions]).to(torch_device)
        hidden = encoder(tokens_of(tokenizer, captions).to(torch_device)).last_hidden_state
        return attribute_loss(reader(hidden), labels)

    optimizers = (AdamW(model.parameters(), lr=1e-3, weight_decay=0.01),)
    return Stage("text_encoder", num_steps, model, optimizers, (1e-3,), 0.99, loss)
