"""Where weights of codecs are found: by the model's digest, whatever lies in the working folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gainnet.codecs import Content, SeedBasis, SeedCodec, TransformSeed, TransformWeights
from gainnet.codecs.basis import BASES
from gainnet.codecs.components import load_components
from gainnet.codecs.transform_seed.weights import TRANSFORMS
from gainnet.core.errors import ModelError
from gainnet.core.types import Spec
from gainnet.models.loading import find_folder, weights_sha256


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def basis_for(digit: str, size: int = 4) -> SeedBasis:
    return SeedBasis(torch.zeros(size), torch.eye(size), torch.ones(size), (0,) * size, digit * 64)


def test_codes_of_many_models_lie_side_by_side(tmp_path: Path) -> None:
    for digit, size in (("a", 4), ("b", 6)):
        basis_for(digit, size).save(tmp_path / digit, {})
        place = BASES.install(tmp_path / digit, digit * 64)
        assert place.parts[-3:] == ("codecs", "seed_basis", digit * 64)
    # Both models are called "sd": what decides is the digest.
    assert load_components("one/sd", "a" * 64).num_values == 4
    assert load_components("other/sd", "b" * 64).num_values == 6
    with pytest.raises(ModelError, match=r"none for model 'third/sd'; .*gainnet train .* --model third/sd"):
        load_components("third/sd", "c" * 64)


def test_a_folder_that_is_named_like_a_code_wins_over_nothing(tmp_path: Path) -> None:
    """A `transform_seed` or `scenes` that lies where one works is somebody's data until it is given as a path."""
    for name in ("transform_seed", "scenes"):
        basis_for("a").save(tmp_path / name, {})
    shipped = TransformWeights.load()
    assert TransformWeights.load("transform_seed", shipped.model_sha256).shape == shipped.shape
    assert SeedBasis.load("scenes").num_values == 1024
    assert SeedBasis.load("./scenes").num_values == 4
    assert SeedBasis.load(Path("scenes")).num_values == 4


def test_a_code_of_another_model_is_refused_by_name(tmp_path: Path) -> None:
    content = Content(Spec((4, 16, 16)), model="my/sd", model_sha256="a" * 64)
    for codec in (SeedCodec(64), TransformSeed()):
        with pytest.raises(ModelError, match=r"my/sd.*gainnet train seed-codec --model my/sd --prompts FILE --code"):
            codec.bound(content)
    basis_for("b").save(tmp_path / "home" / "gainnet" / "codecs" / "sd", {})
    with pytest.raises(ModelError, match=r"fits another model \(b{12}, not a{12}\) than 'my/sd'"):
        load_components("my/sd", "a" * 64)


def test_a_folder_of_a_model_is_no_folder_of_weights(tmp_path: Path) -> None:
    model = tmp_path / "models" / "sd"
    basis_for("a").save(model, {})
    (model / "model_index.json").write_text("{}")
    with pytest.raises(ModelError, match="none for model"):
        BASES.find(str(model))


def test_the_shipped_code_is_found_by_the_digest_of_its_model() -> None:
    sha256 = TransformWeights.load().model_sha256
    # A copy of the scenes model under another name is still that model.
    assert TRANSFORMS.find("copies/of-scenes", sha256).name == "transform_seed"
    assert BASES.find("copies/of-scenes", sha256).name == "scenes"


def test_codes_of_the_emoji_model_come_with_it(tmp_path: Path) -> None:
    sha256 = weights_sha256(find_folder("emoji"))
    basis, transform = load_components("emoji", sha256), TransformWeights.load("emoji", sha256)
    assert basis.num_components == 2048
    assert transform.shape.latent == (32, 8, 8)
    assert basis.model_sha256 == transform.model_sha256 == sha256
