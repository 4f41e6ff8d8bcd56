"""`learn --task draw`: rounds on pictures that stay where they are, their safeguards, and an adapter for others."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from gainnet.catalog.drawing import drawing_method, usual_of
from gainnet.catalog.learning import check_used, open_session
from gainnet.catalog.records import LearnConfig, SafeguardsConfig
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.learning import Adapter, Lora, Scaffold, Split
from gainnet.learning.algorithms.adapters import attach, denoiser_of
from gainnet.learning.safeguards.rows import Apart
from gainnet.learning.save import save
from gainnet.models.denoising import TrainedDenoiser, rows_of_pictures
from gainnet.models.language import row_losses
from gainnet.models.loading import load_model

LOADS = """
import json, sys, torch
from diffusers import UNet2DConditionModel
from peft import PeftModel
from safetensors.torch import load_file
folder, adapter = sys.argv[1:]
latent, states = torch.linspace(-1, 1, 256).reshape(1, 4, 8, 8), torch.linspace(0, 1, 512).reshape(1, 16, 32)
found = []
for library in ("peft", "diffusers"):
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet").eval()
    if library == "peft":
        unet = PeftModel.from_pretrained(unet, adapter).eval()
    else:
        unet.load_lora_adapter(load_file(adapter + "/pytorch_lora_weights.safetensors"), prefix="unet")
    with torch.no_grad():
        found.append(unet(latent, torch.tensor([500.0]), encoder_hidden_states=states)[0].flatten().tolist())
print(json.dumps(found))
assert not any(name.startswith("gainnet") for name in sys.modules)
"""
NAMES = ["cat", "dog", "owl", "fox", "bee", "ant", "cow", "pig", "hen", "bat", "elk", "emu", "rat", "yak"]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for index, name in enumerate(NAMES):
        Image.new("RGB", (20, 20), (10 * index, 90, 200)).save(folder / f"a {name}.png")
    return folder


def config_of(small_stable_diffusion: Path, pictures: Path, **changes: Any) -> LearnConfig:
    small: dict[str, Any] = {"clients": 3, "rounds": 1, "num_steps": 2, "batch_size": 2, "rank": 2, "rate": 0.1}
    own = {"model": str(small_stable_diffusion), "pictures": str(pictures), "num_pictures": 4}
    return LearnConfig(**{"algorithm": "lora", "task": "draw", **small, **own, **changes})


def test_the_usual_settings_are_those_of_the_task() -> None:
    assert usual_of({"task": "text", "rank": 2}, [])["rank"] == 2
    assert usual_of({"task": "draw", "rank": 2}, ["rank"]) == {
        "task": "draw", "rank": 2, "algorithm": "lora", "model": "scenes", "rate": 0.02
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "line"), [(Split(), "algorithm"), (Adapter(), "algorithm"), (Scaffold(), "algorithm"),
                         (Lora(merging="svd"), "merging"), (Lora(merging="stacked"), "merging")],
)  # fmt: skip
def test_what_needs_text_or_linear_maps_is_refused(method: Any, line: str) -> None:
    with pytest.raises(ConfigError, match=f"^{line}: "):
        drawing_method(method)


@pytest.mark.parametrize(
    ("task", "given", "line"),
    [("draw", "row_length", "row_length: pictures have none"), ("text", "pictures", "pictures: text has none")],
)
def test_options_of_the_other_task_are_refused(task: Any, given: str, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        check_used(LearnConfig("lora", task=task), ["task", given])


def test_too_few_pictures_are_one_line(small_stable_diffusion: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pictures: 14 are too few for 20 devices"):
        open_session(config_of(small_stable_diffusion, pictures, clients=20))
    with pytest.raises(ConfigError, match=r"pictures: .* holds none"):
        open_session(config_of(small_stable_diffusion, tmp_path))
    with pytest.raises(ConfigError, match=r"pictures: .* is not a folder"):
        open_session(config_of(small_stable_diffusion, tmp_path / "none"))
    with pytest.raises(ConfigError, match="give --pictures FOLDER"):
        open_session(replace(config_of(small_stable_diffusion, pictures), pictures=None))


@pytest.mark.slow
def test_rounds_go_on_where_they_were_stopped(small_stable_diffusion: Path, pictures: Path, tmp_path: Path) -> None:
    def run(out: Path, rounds: int) -> Any:
        session = open_session(config_of(small_stable_diffusion, pictures, rounds=rounds))
        found = session.run(out)
        return found, save(session, found, out, "lora")

    whole, summary = run(tmp_path / "whole", 2)
    run(tmp_path / "parts", 1)
    parts, _ = run(tmp_path / "parts", 2)
    assert parts.losses == whole.losses
    assert all(bool((x == parts.state[name]).all()) for name, x in whole.state.items())
    assert all(".lora_B." in name for name in whole.state), "first factors are public and never cross"
    assert summary["task"] == "draw"
    assert whole.report["num_bits_up"] > 0
    html = (tmp_path / "whole" / "report.html").read_text()
    assert "<h2>Pictures</h2>" in html
    assert "perplexity" not in html
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    assert (tmp_path / "parts" / "pictures.png").read_bytes() == (tmp_path / "whole" / "pictures.png").read_bytes()


@pytest.mark.slow
def test_peft_and_diffusers_alone_load_the_adapter(
    small_stable_diffusion: Path, pictures: Path, tmp_path: Path
) -> None:
    session = open_session(config_of(small_stable_diffusion, pictures))
    run = session.run(tmp_path / "run")
    save(session, run, tmp_path / "run", "lora")
    network = denoiser_of(session.algorithm.model_of(run.state))
    latent, states = torch.linspace(-1, 1, 256).reshape(1, 4, 8, 8), torch.linspace(0, 1, 512).reshape(1, 16, 32)
    with torch.no_grad():
        wanted = network(latent, torch.tensor([500.0]), encoder_hidden_states=states).sample.flatten()
        plain = session.model.unet(latent, torch.tensor([500.0]), encoder_hidden_states=states).sample.flatten()
    command = [sys.executable, "-W", "ignore", "-c", LOADS, str(small_stable_diffusion), str(tmp_path / "run/adapter")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=True)
    for found in json.loads(done.stdout.splitlines()[-1]):
        torch.testing.assert_close(torch.tensor(found), wanted, rtol=0, atol=1e-4)
    assert not torch.allclose(plain, wanted, atol=1e-3), "something was trained"


@pytest.mark.slow
def test_masked_sums_are_those_in_the_open(small_stable_diffusion: Path, pictures: Path, tmp_path: Path) -> None:
    config = config_of(small_stable_diffusion, pictures)
    plain = open_session(config).run()
    session = open_session(config, SafeguardsConfig(num_groups=1))
    masked = session.run(tmp_path / "masked")
    for name, x in plain.state.items():
        torch.testing.assert_close(masked.state[name], x, rtol=0, atol=1e-3)
    assert (tmp_path / "masked" / "record.jsonl").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("privacy", ["client", "example"])
def test_pictures_are_hidden_by_clipping_and_noise(
    privacy: Any, small_stable_diffusion: Path, pictures: Path, tmp_path: Path
) -> None:
    guarded = SafeguardsConfig(privacy=privacy, accountant="rdp")
    session = open_session(config_of(small_stable_diffusion, pictures), guarded)
    run = session.run(tmp_path / "run")
    summary = save(session, run, tmp_path / "run", "lora")
    assert summary["privacy"]["level"] == privacy
    assert summary["privacy"]["private"]


@pytest.mark.slow
def test_gradients_of_single_pictures_add_up_to_that_of_all(small_stable_diffusion: Path) -> None:
    model = load_model(str(small_stable_diffusion), num_steps=2)
    denoiser = TrainedDenoiser(model)
    rows = rows_of_pictures(denoiser, model, torch.rand(3, 3, 16, 16), ["cat", "dog", "owl"], Random.of(0))
    adapted = attach(denoiser, "lora_b", 2)
    apart = Apart.of(adapted)
    for p in apart.trained.values():
        torch.nn.init.normal_(p, std=0.01)
    single = apart.gradients(rows)
    row_by_row = [apart.gradients(rows[k : k + 1]) for k in range(3)]
    for name, each in single.items():
        assert each.shape == (3, *apart.trained[name].shape)
        torch.testing.assert_close(each, torch.cat([one[name] for one in row_by_row]), rtol=1e-3, atol=1e-6)
    assert len(row_losses(adapted, rows)) == 3
