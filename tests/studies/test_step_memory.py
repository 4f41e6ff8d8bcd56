"""Memory of a step at shapes of models: by the sum of what is held, and by torch's own tracker."""

from __future__ import annotations

import pytest

from gainnet.studies.step_memory import SHAPES, step_memory


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_what_is_held_is_within_the_peak_of_torch(name: str) -> None:
    found = step_memory(name)
    # The tracker sees temporary tensors, too: of tied embeddings a second gradient while both are added.
    for side, most in (("whole", 1.5), ("u_shape", 2.6), ("embedding_only", 3.8)):
        held, peak = found[f"held_bytes.{side}"], found[f"peak_bytes.{side}"]
        assert 0.94 <= peak / held <= most, side
    assert found["flops.embedding_only"] == 0
    assert 0 < found["flops.u_shape"] < 0.5 * found["flops.whole"]
    assert found["peak_bytes.u_shape"] < 0.5 * found["peak_bytes.whole"]


@pytest.mark.slow
def test_parameters_at_the_shapes_are_those_of_the_models() -> None:
    with SHAPES["llama"].context():
        model = SHAPES["llama"].build()
    assert round(sum(p.numel() for p in model.parameters()) / 1e6) == 1236
