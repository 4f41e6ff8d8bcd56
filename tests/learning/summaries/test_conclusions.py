"""An edge-end model learns its field from its clients; a cloud's tokens are those that it reads and writes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gainnet.catalog.learning import learning_of
from gainnet.catalog.records import LearnConfig
from gainnet.core.errors import ConfigError
from gainnet.learning.summaries.conclusions import (
    ARMS,
    Completion,
    LocalCloud,
    conclude,
    edge_tasks,
    growing_edge_end,
)
from gainnet.models.language import mean_loss, small_decoder
from gainnet.models.trials.answering import subword_tokenizer, task_rows
from gainnet.models.trials.fields import invented_fields
from gainnet.models.trials.prompts import EdgeAnswer, cloud_prompt
from gainnet.models.trials.writing import write_abstracts


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return subword_tokenizer((a.document for f in invented_fields(3, 0) for a in write_abstracts(f, 20, 0)), 500)


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "rate"), [("lora", 0.02), ("fsl", 0.003)])
def test_the_edge_end_model_learns_its_field(tokenizer: Any, algorithm: str, rate: float) -> None:
    foundation = small_decoder(16, 2, 2, len(tokenizer))
    before = {name: x.clone() for name, x in foundation.state_dict().items()}
    field = invented_fields(1, 7)[0]
    learning = LearnConfig(algorithm=algorithm, clients=2, rounds=3, num_steps=4, batch_size=4, rate=rate, link="ideal")
    (grown,) = growing_edge_end(
        foundation, tokenizer, write_abstracts(field, 24, 1), learning_of(learning), (learning.rounds,)
    )
    unseen = torch.stack(task_rows(tokenizer, edge_tasks(write_abstracts(field, 12, 2))), 1)
    assert mean_loss(grown.model, unseen) < mean_loss(foundation, unseen) - 0.02
    assert all(torch.equal(x, before[name]) for name, x in foundation.state_dict().items())
    assert grown.cost["num_bits_up"] > 0
    assert len(grown.answer([a.document for a in write_abstracts(field, 2, 3)])) == 2


@pytest.mark.slow
def test_rounds_that_are_looked_into_change_nothing(tokenizer: Any) -> None:
    """The model after two rounds is the same whether or not it was handed out after one."""
    foundation, abstracts = small_decoder(16, 2, 2, len(tokenizer)), write_abstracts(invented_fields(1, 7)[0], 24, 1)
    learning = LearnConfig("lora", clients=2, rounds=2, num_steps=2, batch_size=4, rate=0.02, link="ideal")
    first, second = growing_edge_end(foundation, tokenizer, abstracts, learning_of(learning), (1, 2))
    (alone,) = growing_edge_end(foundation, tokenizer, abstracts, learning_of(learning), (learning.rounds,))
    values = [list(edge.model.state_dict().values()) for edge in (first, second, alone)]
    assert all(torch.equal(a, b) for a, b in zip(values[1], values[2], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(values[0], values[2], strict=True))
    assert 2 * first.cost["num_bits_up"] == second.cost["num_bits_up"] == alone.cost["num_bits_up"]


def test_too_few_abstracts_are_refused(tokenizer: Any) -> None:
    abstracts = write_abstracts(invented_fields(1, 7)[0], 9, 1)
    foundation = small_decoder(16, 2, 2, len(tokenizer))
    with pytest.raises(ConfigError, match="9 of the field are too few for 2 clients"):
        list(growing_edge_end(foundation, tokenizer, abstracts, learning_of(LearnConfig(clients=2)), (1,)))


def test_arms_ask_for_what_they_are_called_after(tokenizer: Any) -> None:
    """A cloud that repeats its prompt shows what it was given; the edge-end model alone asks no cloud."""

    class Echo:
        def complete(self, prompts: Any) -> list[Completion]:
            return [Completion(prompt, 1, 2) for prompt in prompts]

    said = [EdgeAnswer("statement from result (1)", "a draft.")]
    found = {arm: conclude(arm, ["RESULTS: x."], said, Echo())[0] for arm in ARMS}
    assert {arm: found[arm].text for arm in ARMS[:-1]} == {
        arm: cloud_prompt(arm, "RESULTS: x.", said[0]) for arm in ARMS[:-1]
    }
    assert found["edge_alone"] == Completion("a draft.", None, None)
    assert (found["part"].num_tokens, found["edge_alone"].num_tokens) == (3, None)


def test_tokens_are_counted_by_the_clouds_tokenizer(tokenizer: Any) -> None:
    cloud = LocalCloud(small_decoder(16, 2, 2, len(tokenizer), random_seed=1).eval(), tokenizer, 8)
    (completion,) = cloud.complete(["results: pain fell."])
    assert completion.num_prompt_tokens == len(tokenizer("results: pain fell.")["input_ids"])
    assert completion.num_completion_tokens is not None
    assert 1 <= completion.num_completion_tokens <= 8
