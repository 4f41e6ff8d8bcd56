"""Algorithms of learning as texts, with arguments, and the options that set the same parameters."""

from __future__ import annotations

import pytest

from gainnet.catalog import parse, parse_from_peer, text_of
from gainnet.catalog.learning import check_used, learning_of, method_of
from gainnet.catalog.records import LearnConfig
from gainnet.codecs import Int8, TopK
from gainnet.core.errors import ConfigError
from gainnet.learning import Adapter, AveragedEdge, Cut, Lora, SharedEdge, SoftPrompt, Split, WholeModel


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("fedavg", WholeModel()),
        ("adapter", Adapter()),
        ("lora", Lora()),
        ("lora(rank=4)", Lora(4)),
        ("soft_prompt(num_tokens=5)", SoftPrompt(5)),
        ("fsl", Split()),
        ("fsl_averaged", Split(edge=AveragedEdge())),
        ("fsl(codec=top_k(share=0.5), edge=shared_edge(rate=0.01))", Split(codec=TopK(0.5), edge=SharedEdge(0.01))),
        ("fsl(cut=cut(num_blocks=1, head_on_device=True))", Split(Cut(1, head_on_device=True))),
    ],
)
def test_a_method_and_its_text_name_each_other(text: str, method: object) -> None:
    assert parse("algorithm", text) == parse_from_peer("algorithm", text) == method
    assert parse("algorithm", text_of("algorithm", method)) == method
    assert text_of("algorithm", method) == text


def test_options_set_what_the_text_leaves_open() -> None:
    assert method_of(LearnConfig("soft_prompt", rank=7)) == SoftPrompt(7)
    assert method_of(LearnConfig("lora(rank=3)", rank=7)) == Lora(3)
    split = method_of(LearnConfig("fsl_averaged(codec=int8)", cut="u_shape+2", codec="float16", edge_rate=0.1))
    assert split == Split(Cut(2, head_on_device=True), Int8(), AveragedEdge())
    assert method_of(LearnConfig(edge_rate=0.1)) == Split(edge=SharedEdge(0.1))


def test_an_option_beside_an_argument_of_the_text_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"rank: lora\(rank=3\) says it already"):
        check_used(LearnConfig("lora(rank=3)"), ["rank"])
    with pytest.raises(
        ConfigError, match="rank: fsl has none; leave it out or choose the algorithm soft_prompt or lora"
    ):
        check_used(LearnConfig(), ["rank"])


def test_a_peer_names_nothing_but_what_is_shipped() -> None:
    for text in ("os:abort", "fsl(codec=os:abort)", "lora(rank='x')", "lora(rank=10000000000)"):
        with pytest.raises(ConfigError, match=r"algorithm|codec"):
            learning_of(LearnConfig(text), parse_from_peer)
