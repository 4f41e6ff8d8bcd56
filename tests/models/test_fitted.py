"""Fitted steps: as many as the whole run they are that run, and fewer come nearer to it than DPM++ 2M."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gainnet.core.errors import ModelError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.drafts import coarser, draft_part
from gainnet.models.fitted import Fitted, FittedDrafts, load_fitted
from gainnet.models.loading import load_model
from gainnet.training.fitted import fit_steps, run_whole, state_at

CAPTIONS = ["a red star above a blue house at sunset", "a green heart", "a large yellow tree at night"]


@pytest.fixture(scope="module")
def model() -> DiffusionModel:
    return load_model("scenes", num_steps=3)


@pytest.fixture(scope="module")
def noise(model: DiffusionModel) -> torch.Tensor:
    return model.prior({}, Random.of(range(len(CAPTIONS))))["latent"]


@pytest.mark.slow
def test_all_steps_are_the_whole_run(model: DiffusionModel, noise: torch.Tensor) -> None:
    runs = run_whole(model, noise, CAPTIONS)
    steps, draft = fit_steps(model, runs, runs.times, [True] * 3)
    assert torch.allclose(draft, runs.states[-1], atol=0.02)
    # The noise is not used up in the last step but in all, and the last coefficients are those of the prediction.
    assert steps.num_passes == 6
    assert torch.allclose(state_at(model, runs, runs.times[1]), runs.states[1], atol=1e-4)


@pytest.mark.slow
def test_fewer_steps_come_nearer_than_a_coarse_run(model: DiffusionModel, noise: torch.Tensor) -> None:
    runs, random = run_whole(model, noise, CAPTIONS), Random.of(range(len(CAPTIONS)))
    steps, draft = fit_steps(model, runs, (999, 499), (True, False))
    given = {"condition": runs.condition, "latent": noise}
    made = Fitted(model.denoiser, steps)(given, random)["draft"]
    assert torch.allclose(made, draft, atol=1e-4)
    coarse = coarser(model.denoiser, 2)(given, random)["latent"]
    errors = [float((x - runs.states[-1]).square().mean()) for x in (made, coarse)]
    assert errors[0] < errors[1]
    assert Fitted(model.denoiser, steps).num_passes == 3


def test_a_file_of_fitted_steps_is_read_back(model: DiffusionModel, noise: torch.Tensor, tmp_path: Path) -> None:
    steps, _ = fit_steps(model, run_whole(model, noise[:1], CAPTIONS[:1]), (999,), (True,))
    drafts = FittedDrafts(model.sha256, 3, 3.0, {"fitted-1": steps})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path))
        path = tmp_path / "gainnet" / "drafts" / "scenes.json"
        path.parent.mkdir(parents=True)
        drafts.save(path, {})
        assert load_fitted("scenes", model.sha256) == drafts
        assert load_fitted("scenes", "another") is None
        assert draft_part(model, "fitted-1").num_passes == 2
        path.write_text("{}")
        with pytest.raises(ModelError, match="damaged"):
            load_fitted("scenes", model.sha256)


def test_an_item_is_drafted_as_alone(model: DiffusionModel, noise: torch.Tensor) -> None:
    part = draft_part(model, "prefix-2")
    given = model.text_encoder({"prompt": text_to_tensor(CAPTIONS)}, Random.of([0, 1, 2])) | {"latent": noise}
    batch = part(given, Random.of([0, 1, 2]))["draft"]
    alone = part({name: x[2] for name, x in given.items()}, Random.of(2))["draft"]
    assert torch.allclose(batch[2], alone, atol=1e-4)
