"""A split step is the unsplit step: weights after it, for every architecture and every cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gainnet.catalog.learning import cut_of
from gainnet.core.errors import ConfigError
from gainnet.learning.split.halves import split_step
from gainnet.learning.split.model import Cut, SplitModel

VOCABULARY, RATE = 50, 0.1


def gpt2(tied: bool = True) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    sizes = {
        "n_embd": 16,
        "n_layer": 3,
        "n_head": 2,
        "n_positions": 32,
        "vocab_size": VOCABULARY,
        "bos_token_id": 1,
        "eos_token_id": 1,
    }
    quiet = {"resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}
    return GPT2LMHeadModel(GPT2Config(**sizes, **quiet, tie_word_embeddings=tied))


def llama(tied: bool = False) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(**sizes, vocab_size=VOCABULARY, tie_word_embeddings=tied))


def t5(tied: bool = True) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    sizes = {"d_model": 16, "d_ff": 24, "d_kv": 8, "num_layers": 3, "num_heads": 2, "vocab_size": VOCABULARY}
    config = T5Config(**sizes, dropout_rate=0.0, decoder_start_token_id=0, tie_word_embeddings=tied)
    return T5ForConditionalGeneration(config)


MODELS = {
    "gpt2-tied": lambda: gpt2(True),
    "gpt2": lambda: gpt2(False),
    "llama": lambda: llama(False),
    "llama-tied": lambda: llama(True),
    "t5-tied": lambda: t5(True),
    "t5": lambda: t5(False),
}
CUTS = ("embedding_only", "embedding_only+1", "embedding_only+2", "u_shape", "u_shape+1", "u_shape+2")


class Copies:
    """Carries tensors unharmed, and remembers what crossed."""

    def __init__(self) -> None:
        self.crossed: list[tuple[str, str]] = []

    def up(self, kind: str, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        self.crossed.append(("up", kind))
        return {name: x.clone() for name, x in tensors.items()}, torch.tensor(True)

    def down(self, kind: str, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        self.crossed.append(("down", kind))
        return {name: x.clone() for name, x in tensors.items()}, torch.tensor(True)

    def computed(self, segment: str) -> None:
        pass


def batch(random_seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(random_seed)
    tokens = torch.randint(1, VOCABULARY, (3, 9), generator=generator)
    labels = tokens.clone()
    labels[0, 5:] = -100
    return tokens, labels


def unsplit_loss(model: Any, tokens: Tensor, labels: Tensor) -> tuple[Tensor, float]:
    """Cross-entropy in double precision, and the loss that transformers itself reports in single."""
    given = model(input_ids=tokens, labels=labels)
    logits, wanted = (
        (given.logits, labels) if model.config.is_encoder_decoder else (given.logits[:, :-1], labels[:, 1:])
    )
    return nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten()), float(given.loss.detach())


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        # The tied ones at the cuts that share most; every architecture and cut is in the study language-families.
        pytest.param(
            name,
            cut,
            marks=()
            if cut in CUTS[::4] and "tied" in name and (name, cut) != ("t5-tied", CUTS[4])
            else pytest.mark.slow,
        )
        for name in MODELS
        for cut in CUTS
    ],
)
def test_split_steps_are_unsplit_steps(name: str, cut: str) -> None:
    plain, model = MODELS[name]().double(), MODELS[name]().double()
    split, crossing = SplitModel.of(model, cut_of(cut)), Copies()
    ours = [torch.optim.SGD(split.parameters(side), RATE, momentum=0.9) for side in ("device", "edge")]
    theirs = torch.optim.SGD(plain.parameters(), RATE, momentum=0.9)
    for step in range(2):
        tokens, labels = batch(step)
        loss = split_step(split, tokens, labels, crossing)
        wanted, reported = unsplit_loss(plain, tokens, labels)
        wanted.backward()
        for optimizer in (theirs, *ours):
            optimizer.step()
            optimizer.zero_grad()
        torch.testing.assert_close(loss, wanted.detach(), rtol=1e-12, atol=1e-12)
        assert float(loss) == pytest.approx(reported, rel=1e-6)
    for key, value in plain.named_parameters():
        torch.testing.assert_close(model.get_parameter(key), value, rtol=0, atol=1e-10, msg=key)
    for device, edge in split.tied:
        torch.testing.assert_close(split.body.get_parameter(edge), model.get_parameter(device), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "name", [n if n in ("llama", "gpt2-tied") else pytest.param(n, marks=pytest.mark.slow) for n in MODELS]
)
def test_each_parameter_is_on_one_side_unless_it_is_tied(name: str) -> None:
    model = MODELS[name]()
    for text in CUTS:
        split = SplitModel.of(model, cut_of(text))
        device, edge = ({id(p) for p in split.parameters(side)} for side in ("device", "edge"))
        assert not device & edge
        assert set(split.names("device")) | set(split.names("edge")) == {n for n, _ in model.named_parameters()}
        assert set(split.names("device")) & set(split.names("edge")) == {n for n, _ in split.tied}
        everything = sum(p.numel() for p in model.parameters()) + sum(
            model.get_parameter(n).numel() for n, _ in split.tied
        )
        assert sum(p.numel() for side in ("device", "edge") for p in split.parameters(side)) == everything


def test_the_device_of_a_u_shape_never_sends_labels() -> None:
    for cut, kinds in (("u_shape", {"activations", "gradients"}), ("embedding_only", {"activations", "labels"})):
        crossing = Copies()
        split_step(SplitModel.of(llama(), cut_of(cut)), *batch(0), crossing)
        assert {kind for way, kind in crossing.crossed if way == "up"} == kinds


def test_the_edge_part_alone_knows_no_token() -> None:
    split = SplitModel.of(gpt2(), cut_of("u_shape"))
    assert not any(isinstance(module, nn.Embedding) for module in split.body.modules())


def test_items_that_are_lost_count_for_nothing() -> None:
    class Loses(Copies):
        def up(self, kind: str, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
            received, _ = super().up(kind, tensors)
            for x in received.values():
                x[1] = 0
            return received, torch.tensor([True, False, True])

    tokens, labels = batch(3)
    few, whole = (SplitModel.of(llama().double(), cut_of("u_shape")) for _ in range(2))
    split_step(few, tokens, labels, Loses())
    split_step(whole, tokens[[0, 2]], labels[[0, 2]], Copies())
    for side in ("device", "edge"):
        for a, b in zip(few.parameters(side), whole.parameters(side), strict=True):
            torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-12)


def test_a_cut_through_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave one"):
        SplitModel.of(llama(), Cut(3))
    with pytest.raises(ConfigError, match="cut: 'half'"):
        cut_of("half")
