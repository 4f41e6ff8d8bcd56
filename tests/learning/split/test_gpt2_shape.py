"""The shares of a device in a model with the proportions of GPT-2 small: 124 M parameters, counted while it steps."""

from __future__ import annotations

import pytest
import torch

from gainnet.catalog.learning import cut_of
from gainnet.learning.algorithms.costs import split_step_cost, whole_step_cost


@pytest.mark.slow
def test_shares_of_a_device_at_the_size_of_gpt2() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    model, rows = GPT2LMHeadModel(GPT2Config()), torch.arange(256).reshape(2, 128)
    whole = whole_step_cost(model, rows)
    found = {}
    for text in ("u_shape", "embedding_only"):
        cost = split_step_cost(model, cut_of(text), rows)
        memory = cost.device_memory_bytes(2) / whole.device_memory_bytes(2)
        found[text] = (memory, cost.device_flops / whole.device_flops, cost.device_parameter_bytes)
    embeddings = 4 * 768 * (50257 + 1024)
    assert found["u_shape"][2] == found["embedding_only"][2] == embeddings, "the head is tied to the embeddings"
    assert found["u_shape"][0] <= 1 / 2
    assert found["u_shape"][1] <= 1 / 2
    assert found["embedding_only"][0] <= 1 / 2
    assert found["embedding_only"][1] == 0
