"""Names become objects and objects become names; strangers may name what is shipped, and nothing else."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gainnet.catalog import EpisodeConfig, GenerationConfig, parameters_of, parse, parse_from_peer, table_of, text_of
from gainnet.catalog.construct import Constructor, term_of
from gainnet.catalog.families import TABLES
from gainnet.catalog.grammar import read, write
from gainnet.catalog.opening import open_request
from gainnet.catalog.orchestration import episode_of
from gainnet.core.errors import ConfigError
from gainnet.orchestration import BestResponse, load_scenario

quietly = settings(database=None, deadline=None, max_examples=50)


@dataclass(frozen=True)
class Inner:
    """Part of another one."""

    rate: float = 0.5


@dataclass(frozen=True)
class Outer:
    """One of everything that an argument can be.

    Args:
        count: a whole number.
        share: any number,
            also infinite.
    """

    count: int = 1
    share: float | None = None
    mode: Literal["slow", "fast"] = "slow"
    label: str = ""
    steps: tuple[int, ...] = ()
    inner: Inner = Inner()
    on: bool = False


# Those of `text()` itself, which finds them by encoding every one there is.
CHARACTERS = st.characters(exclude_categories=["Cs"])

MAKE = Constructor(lambda family, name: {"outer": Outer}[name])


@quietly
@given(
    st.builds(
        Outer,
        st.integers(),
        st.none() | st.floats(allow_nan=False),
        st.sampled_from(["slow", "fast"]),
        st.text(CHARACTERS, max_size=20),
        st.lists(st.integers(), max_size=4).map(tuple),
        st.builds(Inner, st.floats(allow_nan=False)),
        st.booleans(),
    )
)
def test_an_object_survives_its_text(value: Outer) -> None:
    text = write(term_of(value, lambda family: {"outer": Outer}))
    assert MAKE.make("test", read(text)) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("outer(cuont=1)", "did you mean count"),
        ("outer(count=1.5)", "count must be a whole number, not 1.5"),
        ("outer(count=True)", "count must be a whole number"),
        ("outer(on=1)", "on must be True or False"),
        ("outer(mode=quick)", "mode must be slow or fast, not quick"),
        ("outer(steps=(1, 'a'))", "steps must be a tuple"),
        ("outer(inner=outer)", "inner must be inner"),
        ("outer(inner=inner(rate=x))", "rate must be a number"),
    ],
)
def test_a_wrong_argument_names_the_right_one(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MAKE.make("test", read(text))


@pytest.mark.parametrize("family", [family for family in TABLES if family != "power"])
def test_every_shipped_name_is_parsed_and_written(family: str) -> None:
    for name in table_of(family):
        # Latencies of baselines are compared for a number of samples, which an episode knows.
        made = parse(family, f"{name}(num_samples=50.0)" if name.startswith("ml_") else name)
        assert parse(family, text_of(family, made)) == made


@pytest.mark.parametrize(
    "text", ["ofdm(profile=tdl(name='A', delay_spread_s=1e-07), estimator=known)", "dft_spread(channel=tdl-a)"]
)
def test_a_channel_takes_others_by_name(text: str) -> None:
    assert text_of("fading", parse("fading", text)) == text


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("tdl(name='C')", "ofdm(profile=tdl)"),
        ("lmmse", "ofdm(estimator=lmmse)"),
        ("tdl-a(delay_spread_s=1e-7)", "ofdm(profile=tdl(name='A', delay_spread_s=...))"),
    ],
)
def test_a_part_that_stands_alone_is_put_into_the_whole(text: str, whole: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse("fading", text)
    assert str(told.value).endswith(f"write {whole}")


def test_policies_and_scenarios_take_arguments() -> None:
    assert parse("policy", "best_response(num_starts=8)") == BestResponse(num_starts=8)
    assert text_of("policy", BestResponse(num_starts=8)) == "best_response(num_starts=8)"
    assert text_of("policy", parse("policy", "ml_cc(num_samples=20)")) == "ml_cc(num_samples=20.0)"
    assert text_of("scenario", load_scenario("coupled")) == "coupled"
    assert parse_from_peer("scenario", "street(num_clients=7, num_rounds=2)").clients.num_clients == 7
    for text in ("street(num_clients='x')", "/etc/hostname", "x.toml", "street(num_rounds=0)"):
        with pytest.raises(ConfigError):
            parse_from_peer("scenario", text)
    episode = episode_of(EpisodeConfig("best_response(num_starts=1)", "street(num_clients=4, num_rounds=1)"))
    assert episode.rollouts["best_response(num_starts=1)"].gain.shape == (1,)


def test_a_name_that_fixes_an_argument_takes_the_others() -> None:
    assert text_of("codec.image", parse("codec.image", "jpeg(quality=50)")) == "jpeg(quality=50)"
    with pytest.raises(ConfigError, match="no argument 'format'"):
        parse("codec.image", "jpeg(format=png)")


def test_a_class_of_the_users_takes_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_air.py").write_text(
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Fog:\n    depth: int = 1\n"
        "    block_length = 1\n    blocks = first_gain = transmit = print\n"
    )
    monkeypatch.chdir(tmp_path)
    fog = parse("fading", "my_air:Fog(depth=3)")
    assert fog.depth == 3
    assert text_of("fading", fog) == "my_air:Fog(depth=3)"
    sys.modules.pop("my_air")


HOSTILE = [
    "os:abort", "os:abort()", "builtins:exec(x='1')", "../x", "/etc/passwd", "org/model", "my_module:Codec(depth=1)",
    "rayleigh(block_length='../x')", "rayleigh(block_length=1e300)", "rayleigh(block_length=99999999999)",
    "rayleigh(block_length=os:abort)", "rician(k_factor=inf)", "trace(path='x.csv')",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("family", TABLES)
def test_a_peer_names_only_what_is_shipped(family: str, text: str) -> None:
    with pytest.raises(ConfigError):
        parse_from_peer(family, text)


@quietly
@given(st.text(CHARACTERS, max_size=40))
def test_no_text_of_a_peer_does_more_than_an_error(text: str) -> None:
    modules = set(sys.modules)
    with suppress(ConfigError):
        parse_from_peer("fading", text)
    assert set(sys.modules) == modules


def test_an_operator_allows_a_class() -> None:
    assert parse_from_peer("model", "mine(rate=2)", {"mine": Inner}) == Inner(2.0)
    assert parse_from_peer("fading", "rayleigh(block_length=8)").block_length == 8


def test_parameters_say_what_the_docstring_says() -> None:
    found = parameters_of(Outer)
    assert found["share"].text == "any number, also infinite."
    assert found["share"].default is None
    assert found["inner"].default == Inner()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"fading": "idel"}, "did you mean ideal\\?"),
        ({"fading": "nakagami"}, "choose one of .* ideal, "),
        ({"fading": "rayleigh(64)"}, r"rayleigh\(block_length=64\)$"),
        ({"protocol": "ciag(3)"}, r"protocol: .* ciag\(cut=3\)$"),
        ({"codec": {"seed": "linear(512)"}}, r"codec\.seed: .* linear\(num_channel_uses=512\)$"),
    ],
)
def test_a_mistyped_text_is_answered_with_the_right_one(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_request(GenerationConfig(("a red star",), **config))


@pytest.mark.parametrize("wrong", [{"report_error_db": -1.0}, {"report_delay": -1}])
def test_reports_are_refused_by_the_name_of_their_option(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(wrong))}: "):
        GenerationConfig(("a red star",), **wrong)


def test_help_and_error_name_every_fading_once() -> None:
    known = sorted({*table_of("fading"), "ideal"})
    with pytest.raises(ConfigError) as error:
        open_request(GenerationConfig(("a star",), fading="fog"))
    _, _, listed = str(error.value).partition("choose one of ")
    assert listed.removesuffix(", or give module:Class").split(", ") == known
    shown = parameters_of(GenerationConfig)["fading"].text.partition(" or module:Class")[0]
    families = {name.partition("-")[0] for name in known}
    found = [word.partition("-")[0] for word in shown.replace(",", " ").split()]
    assert [found.count(name) for name in sorted(families)] == [1] * len(families)
