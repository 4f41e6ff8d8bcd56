from pathlib import Path

import pytest
from toy_study import TOY, ToyConfig

from gainnet.core.errors import ConfigError
from gainnet.studies.presets import load_config, validate

GOOD = {"random_seeds": [0], "num_draws": 3, "scales": [1]}


def test_presets_list_only_what_differs_from_the_default() -> None:
    default, quick, full = (load_config(TOY, name) for name in ("default", "quick", "full"))
    assert default == ToyConfig((0, 1, 2), 100, (1.0, 2.0, 4.0))
    assert (quick.only, quick.random_seeds) == ("mean", (0, 1, 2))
    assert full.num_draws == 1000


def test_own_file_changes_the_default(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("num_draws = 7\n")
    assert load_config(TOY, file).num_draws == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_drws": 1}, "num_drws: unknown field; did you mean num_draws"),
        ({"num_draws": "many"}, "num_draws: 'many' is not a whole number"),
        ({"num_draws": "3"}, "num_draws: .*whole number"),
        ({"num_draws": 0}, "num_draws: 0 is not allowed; give more than 0"),
        ({"num_draws": 2.5}, "num_draws"),
        ({"scales": 1.0}, "scales: .*"),
        ({"scales": [1.0, "x"]}, r"scales\.1: "),
        ({"random_seeds": [0.5]}, r"random_seeds\.0: "),
        ({"only": 3}, "only: 3 is not a text"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        validate(ToyConfig, GOOD | change)
    assert "\n" not in str(error.value)


def test_an_option_of_another_study_is_named() -> None:
    with pytest.raises(ConfigError, match=f"^cloud_url: .* the study {TOY.name}, which has no --cloud-url; leave it"):
        load_config(TOY, "quick", {"num_draws": 3, "cloud_url": "here"})


def test_missing_field_is_named() -> None:
    with pytest.raises(ConfigError, match="num_draws: it is missing"):
        validate(ToyConfig, {"random_seeds": [0], "scales": [1]})


@pytest.mark.parametrize(
    ("content", "message"),
    [("num_draws =", "not valid TOML"), ("[num_draws]\na = 1", "num_draws"), ("x = 1", "x: unk")],
)
def test_wrong_toml_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=message) as error:
        load_config(TOY, file)
    assert "\n" not in str(error.value)


def test_unknown_preset_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="preset: 'fast' is neither one of default, quick, full"):
        load_config(TOY, "fast")
