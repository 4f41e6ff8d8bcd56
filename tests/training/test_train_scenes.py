"""Training the scenes model, tiny: it runs through, resumes, and refuses folders that do not fit."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import gainnet
from gainnet.core.errors import ConfigError
from gainnet.core.files import write_folder
from gainnet.models.attributes import JUDGE, AttributeClassifier
from gainnet.models.scenes import has_pair
from gainnet.training.export import weight_hashes
from gainnet.training.scenes import PRESETS, train_scenes, training_scenes
from gainnet.training.scenes_evaluation import load_pipeline

TINY = PRESETS["tiny"]
CPU = torch.device("cpu")


def test_the_folders_load(tiny_run: Path) -> None:
    pipeline = load_pipeline(tiny_run / "scenes")
    assert pipeline.unet.dtype == torch.float32
    AttributeClassifier.from_pretrained(JUDGE, tiny_run / "attributes")
    config = json.loads((tiny_run / "scenes" / "gainnet.json").read_text())
    assert config["sha256"] == weight_hashes(tiny_run / "scenes")
    assert config["generation"]["num_inference_steps"] == 10


def test_weights_are_half_precision(tiny_run: Path) -> None:
    for file in (tiny_run / "scenes").rglob("*.safetensors"):
        assert all(value.dtype == torch.float16 for value in load_file(file).values()), file


@pytest.mark.slow
def test_every_stage_changes_its_weights(tiny_run: Path, tmp_path: Path) -> None:
    train_scenes(tmp_path / "other", 2, TINY, torch_device=CPU)
    other, mine = weight_hashes(tmp_path / "other" / "scenes"), weight_hashes(tiny_run / "scenes")
    assert other.keys() == mine.keys()
    assert all(other[name] != mine[name] for name in mine)


@pytest.mark.slow
def test_training_again_is_done_at_once_and_the_same(tiny_run: Path) -> None:
    before = weight_hashes(tiny_run)
    told: list[str] = []
    train_scenes(tiny_run, 1, TINY, progress=lambda stage, *_: told.append(stage), torch_device=CPU)
    assert told == []
    assert weight_hashes(tiny_run) == before


def test_another_run_does_not_fit_into_the_folder(tiny_run: Path) -> None:
    with pytest.raises(ConfigError, match="begun with another"):
        train_scenes(tiny_run, 2, TINY, torch_device=CPU)
    with pytest.raises(ConfigError, match="begun with another"):
        train_scenes(tiny_run, 1, replace(TINY, denoiser=7), torch_device=CPU)


def test_the_package_is_not_written_into(tmp_path: Path) -> None:
    package = Path(str(gainnet.__file__)).parent
    with pytest.raises(ConfigError, match="lies in the package"):
        train_scenes(package / "models" / "pretrained", 1, TINY)
    with pytest.raises(ConfigError, match="held_out_pairs"):
        train_scenes(tmp_path, 1, TINY, held_out_pairs=[("red", "zebra")])


@pytest.mark.slow
def test_held_out_pairs_change_the_denoiser_alone(tiny_run: Path, tmp_path: Path) -> None:
    pairs = [("red", "star"), ("blue", "house"), ("white", "boat"), ("green", "moon")]
    assert has_pair(training_scenes(1, TINY.num_latents), pairs).any()
    train_scenes(tmp_path, 1, TINY, held_out_pairs=pairs, torch_device=CPU)
    held_out, mine = weight_hashes(tmp_path / "scenes"), weight_hashes(tiny_run / "scenes")
    different = {name.split("/")[0] for name in mine if mine[name] != held_out[name]}
    assert different == {"unet", "text_encoder"}


def test_training_scenes_are_the_same_whenever_asked_for() -> None:
    assert np.array_equal(training_scenes(1, 64).nuisance, training_scenes(1, 64).nuisance)


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_folder(folder, lambda beside: (beside / "a").write_text("old") and None)

    def fail(beside: Path) -> None:
        (beside / "a").write_text("new")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_folder(folder, fail)
    assert (folder / "a").read_text() == "old"


@pytest.mark.slow
def test_a_training_killed_again_and_again_ends_with_the_same_weights(tiny_run: Path, tmp_path: Path) -> None:
    code = (
        "import sys, torch; from pathlib import Path; torch.set_num_threads(1)\n"
        "from gainnet.training.scenes import PRESETS, train_scenes\n"
        "train_scenes(Path(sys.argv[1]), 1, PRESETS['tiny'], torch_device=torch.device('cpu'),\n"
        "             progress=lambda *told: print(*told, flush=True))"
    )
    # each life ends at its first progress line of a new stage, so every stage is cut once
    seen: set[str] = set()
    for _ in range(20):
        with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as life:
            assert life.stdout is not None
            stages = (line.split()[0] for line in life.stdout)
            new = next((stage for stage in stages if stage not in seen), None)
            if new is not None:
                seen.add(new)
                life.kill()
        if new is None:
            assert life.returncode == 0
            break
    assert len(seen) >= 5
    assert weight_hashes(tmp_path / "scenes") == weight_hashes(tiny_run / "scenes")
