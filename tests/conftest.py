"""Real, tiny components that several test files share."""

from __future__ import annotations

import copy
import gc
import inspect
import linecache
import os
import string
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from gainnet.codecs.seed_codec.weights import NETWORKS, SeedWeights
from gainnet.codecs.shelf import PRETRAINED
from gainnet.models import loading
from gainnet.models.families import Family
from gainnet.models.runtime import onnx
from gainnet.models.runtime.manifest import Exported

torch.set_num_threads(1)

Call = Callable[..., tuple[object, str, str]]
SMALL = "small-stable-diffusion"
SHIPPED_SCENES = loading.find_folder("scenes")


# The modules of torch alone are a million objects, and a sixth of the suite's time went into looking at them again for
# garbage: seldom while they are loaded, and never once they are.
gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems() -> None:
    """Lets hypothesis try constants of the modules that it calls, not those of 700 files, which takes 3 s."""
    if "hypothesis" in sys.modules:
        from hypothesis.internal.conjecture import providers

        pytest.MonkeyPatch().setattr(providers, "is_local_module_file", lambda path: "/gainnet/catalog/" in path)


def pytest_collection_finish() -> None:
    """Takes what is loaded by now out of every later search for garbage, and forgets the sources that were read."""
    gc.freeze()
    # Before each docstring, doctest asks for every source that was read whether its file has changed since.
    linecache.clearcache()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the user and system time of this process and of those it started; waiting does not count."""
    terminalreporter.write_line(f"processor time: {sum(os.times()[:4]):.1f} s")


def build_small_stable_diffusion(folder: Path) -> None:
    """A Stable Diffusion pipeline with every part of the real one and random weights, saved in diffusers' format."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = [*string.ascii_lowercase, *(c + "</w>" for c in string.ascii_lowercase)]
    vocab = {token: i for i, token in enumerate(["<|startoftext|>", "<|endoftext|>", *letters])}
    tokenizer = CLIPTokenizer(vocab=vocab, merges=[], model_max_length=16)
    torch.manual_seed(0)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(vocab),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=16,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=32,
        attention_head_dim=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    vae = AutoencoderKL(
        block_out_channels=(16, 16),
        norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        sample_size=16,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, clip_sample=False
    )
    pipeline = StableDiffusionPipeline(
        vae, text_encoder, tokenizer, unet, scheduler, None, None, None, requires_safety_checker=False
    )
    pipeline.save_pretrained(folder, safe_serialization=True)


def build_small_emoji(folder: Path) -> None:
    """A folder as the emoji model's recipe writes it, of five toy pictures and networks with random weights."""
    from dataclasses import asdict

    from gainnet.models.autoencoder import SceneAutoencoder
    from gainnet.models.emoji.album import Album
    from gainnet.models.emoji.captions import wordings
    from gainnet.models.emoji.words import build_tokenizer, caption_words
    from gainnet.training.emoji import GENERATION, PRESETS
    from gainnet.training.emoji_folder import emoji_files
    from gainnet.training.emoji_networks import build_emoji_denoiser
    from gainnet.training.export import write_pipeline
    from gainnet.training.text_encoder import build_text_encoder

    torch.manual_seed(0)
    names = ("octopus", "judge-dark-skin-tone", "judge-light-skin-tone", "judge", "bear")
    album = Album(torch.randint(256, (len(names), 3, 128, 128), dtype=torch.uint8), tuple((name,) for name in names))
    own = wordings(album.names, {})
    tokenizer = build_tokenizer(caption_words(own))
    networks = (
        SceneAutoencoder(latent_channels=32, block_out_channels=(3, 12, 8, 16, 64)),
        build_text_encoder(tokenizer, 0, 32, 1),
        tokenizer,
        build_emoji_denoiser(0, (16, 16, 16), 32),
    )
    trained = {
        "random_seed": 0,
        "steps": asdict(PRESETS["tiny"]),
        "album_sha256": album.sha256,
        "psnr_db": {"seen": 10.0, "held_out": 10.0},
        "cpu_s": dict.fromkeys(("autoencoder", "decoder", "text_encoder", "denoiser"), 1.0),
    }
    with torch.no_grad():
        latents = networks[0].encoder(album.pictures.float() / 127.5 - 1)
    files = emoji_files(album, own, latents, trained, [], networks)
    write_pipeline(*networks, "emoji", GENERATION, trained, folder, files)


def models_opened_once(patch: pytest.MonkeyPatch) -> None:
    """Whoever loads a model that no test changes gets the modules of whoever loaded it first, and a scheduler alone.

    Graphs of that model are opened and its weights digested once, too.
    """
    opened = cache(loading.open_pipeline)

    def open_once(folder: Path, name: str, family: Family, networks: Mapping[str, Any] | None = None) -> Any:
        unchanged = networks is None and (folder == SHIPPED_SCENES or folder.name == SMALL)
        if unchanged:
            return copy.copy(opened(folder, name, family))
        return opened.__wrapped__(folder, name, family, networks)

    sessions: dict[str, Any] = {}
    open_graph = onnx._open

    def open_graph_once(exported: Exported, part: str) -> Any:
        if exported.folder != SHIPPED_SCENES:
            return open_graph(exported, part)
        if part not in sessions:
            sessions[part] = open_graph(exported, part)
        return sessions[part]

    digested, digest = cache(loading.weights_sha256), loading.weights_sha256

    def digest_once(folder: Path) -> str:
        return digested(folder) if folder == SHIPPED_SCENES or folder.name == SMALL else digest(folder)

    patch.setattr(loading, "open_pipeline", open_once)
    patch.setattr(loading, "weights_sha256", digest_once)
    patch.setattr(onnx, "_open", open_graph_once)


def seed_weights_read_once(patch: pytest.MonkeyPatch) -> None:
    """The frozen weights of the package, which every plan with a learned seed asks for, are the same for all."""
    read = SeedWeights.load
    read_once = cache(read)

    def load(model: str | Path = "scenes", model_sha256: str | None = None) -> SeedWeights:
        # Where they are found depends on the user's folder, which many tests have of their own.
        folder = NETWORKS.find(model, model_sha256)
        return (read_once if PRETRAINED in folder.parents else read)(folder, model_sha256)

    patch.setattr(SeedWeights, "load", staticmethod(load))


def pytest_configure(config: pytest.Config) -> None:
    """Before anything is collected, since a fixture of this folder would leave out the examples in docstrings."""
    patch = pytest.MonkeyPatch()
    models_opened_once(patch)
    seed_weights_read_once(patch)
    config.add_cleanup(patch.undo)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Runs a command in this process and an empty folder; gives its exit code, standard output and standard error."""
    from gainnet import cli

    monkeypatch.chdir(tmp_path)
    # On a busy machine a command lasts long enough for lines of progress, which no test here waits for. Of the module
    # that commands use: pytest imports one that it takes examples from a second time.
    monkeypatch.setitem(inspect.unwrap(cli.generate.status).__globals__, "EVERY_S", float("inf"))

    def run(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["gainnet", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        printed = capsys.readouterr()
        return caught.value.code, printed.out, printed.err

    return run


@pytest.fixture(scope="session")
def user_with_emoji(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a user's data in which a small emoji model is installed; for `XDG_DATA_HOME`."""
    home = tmp_path_factory.mktemp("data")
    build_small_emoji(home / "gainnet" / "models" / "emoji")
    return home


@pytest.fixture(scope="session")
def small_stable_diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small Stable Diffusion with random weights."""
    folder = tmp_path_factory.mktemp("models") / SMALL
    build_small_stable_diffusion(folder)
    return folder


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of the scenes model as its training writes one: other weights of the denoiser, and who taught it."""
    import json
    import shutil

    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("students") / "scenes_fast"
    shutil.copytree(SHIPPED_SCENES, folder)
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    save_file({name: 0.999 * x for name, x in load_file(weights).items()}, weights, {"format": "pt"})
    trained = {
        "teacher_sha256": loading.weights_sha256(SHIPPED_SCENES), "random_seed": 3, "cpu_s": 1.0,
        "steps": {"steps": 4, "batch_size": 2, "first_shards": 1, "shards": 2, "checkpoint_every": 2},
    }  # fmt: skip
    (folder / "trained.json").write_text(json.dumps(trained))
    own = json.loads((folder / "gainnet.json").read_text())
    own["generation"] |= {"num_inference_steps": 2, "guidance_scale": 1.0}
    (folder / "gainnet.json").write_text(json.dumps(own))
    return folder


@pytest.fixture(scope="session")
def packed_student(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder in which the same lies as it would be shipped, under `models/scenes_fast`."""
    from gainnet.training.export import pack_student

    home = tmp_path_factory.mktemp("packed")
    pack_student(student, home / "gainnet" / "models" / "scenes_fast")
    return home


@pytest.fixture
def installed_student(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same where it is found for the scenes model, in a user's folder of its own."""
    from gainnet.models.students import install_student

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return install_student(student)
