"""How long a generation takes is known before it runs."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from gainnet.catalog import GenerationConfig
from gainnet.catalog.opening import Request, open_request
from gainnet.cli.generate import announce
from gainnet.core.errors import ConfigError
from gainnet.generation import Cell, duration
from gainnet.generation.advice import most_wall_s
from gainnet.generation.duration import Pace, expected_wall_s
from gainnet.generation.planning import shapes_of
from gainnet.models.loading import load_model
from gainnet.protocols import PROTOCOLS


def test_f8_expected_seconds_count_steps_of_both_pictures() -> None:
    request = open_request(GenerationConfig(("a red star",) * 3, fading="ideal"), load_model("scenes", num_steps=4))
    given, pace = shapes_of(request.prompts, request.model, None), Pace(step_s=10.0, decoder_s=1.0)
    whole = expected_wall_s(request.make_plan(), request.model, pace, given, 3)
    assert whole == pytest.approx(3 * (4 * 10.0 + 2 * 1.0), rel=0.02)
    # Behind a latent that the air has changed the reference takes steps of its own.
    cut = open_request(GenerationConfig(request.prompts, "ciag", cut=1, fading="ideal"), request.model).make_plan()
    assert expected_wall_s(cut, request.model, pace, given, 3) == pytest.approx(3 * (10.0 + 2 * 30.0 + 2.0), rel=0.02)


def test_f8_long_work_shows_how_far_it_is() -> None:
    labels = list[str]()
    request = open_request(GenerationConfig(("a red star",) * 9, fading="ideal"), load_model("scenes", num_steps=2))
    with request.watched(labels.append):
        request.generate(labels.append)
    assert [x for x in labels if x.startswith("denoiser: step")] == [f"denoiser: step {k} of 4" for k in (1, 2, 3, 4)]
    assert [x for x in labels if x.startswith("decoder: ")] == [f"decoder: {k} of 9 pictures" for k in (8, 9, 8, 9)]
    assert not request.model.denoiser.network._forward_hooks


def test_f8_long_work_is_said_and_very_long_work_must_be_agreed_to(
    call: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seconds in (59.0, 90.0):
        announce(seconds, False, "fewer prompts")
    announce(1500.0, True, "fewer prompts")
    assert capsys.readouterr().err == "".join(
        f"this takes about {spelled} on this machine\n" for spelled in ("90 s", "25 minutes")
    )
    monkeypatch.setattr(Request, "expected_wall_s", lambda request: 1500.0)
    code, out, err = call("generate", "a red star", "--num-steps", "1")
    assert (code, out) == (2, "")
    agree = "give --yes to run it, or a smaller --height and --width"
    assert err == f"error: yes: this takes about 25 minutes on this machine; {agree}\n"
    with pytest.raises(ConfigError, match=r"2\.8 hours"):
        announce(10_000.0, False, "fewer prompts")


def test_f8_trying_all_protocols_is_announced_and_must_be_agreed_to(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, pace = load_model(num_steps=2), Pace(step_s=10.0, decoder_s=0.0)
    one_s, two_s = (most_wall_s(model, ("a red star",) * n, Cell(), pace) for n in (1, 2))
    # Two steps at least for each protocol; those that draw several pictures to choose from take more.
    assert 20.0 * len(PROTOCOLS) < one_s < 100.0 * len(PROTOCOLS)
    assert two_s == pytest.approx(2 * one_s, rel=0.05)
    monkeypatch.setattr("gainnet.generation.advice.judge", lambda *_: pytest.fail("ran"))
    monkeypatch.setattr("gainnet.generation.advice.most_wall_s", lambda *_: 1500.0)
    code, out, err = call("advise", "--try-all", "--num-steps", "2")
    assert (code, out) == (2, "")
    assert err == "error: yes: this takes about 25 minutes on this machine; give --yes to run it, or fewer steps\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        GenerationConfig(("a red star", "a blue house") * 8, snr_db=5.0),
        GenerationConfig(("a red star",), "centralized", snr_db=-10.0, codec={"image": "raw_pixels"}),
    ],
)
def test_f8_the_expected_time_is_that_which_it_takes_within_a_factor_of_three(config: GenerationConfig) -> None:
    request = open_request(config)
    expected_s, begin_s = request.expected_wall_s(), time.process_time()
    _ = request.generate().baseline
    # Of one thread, so that it does not matter what else the machine does.
    took_s = (time.process_time() - begin_s) / torch.get_num_threads()
    assert took_s / 3 <= expected_s <= 3 * took_s


def test_a_large_picture_is_measured_at_a_size_that_takes_a_moment() -> None:
    large = load_model("scenes", num_steps=2, height=4096, width=2048)
    small = duration._measured(large)
    assert (small.latent.shape, small.image.shape) == ((4, 64, 64), (3, 512, 512))
    assert small.denoiser.latent == small.decoder.latent == small.latent
    assert duration._measured(small) is small


@pytest.mark.slow
def test_the_pace_of_a_large_picture_is_that_of_a_small_one_by_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = load_model("scenes", num_steps=2, height=512, width=256), set[tuple[int, ...]]()

    def second_s(run: Any) -> float:
        run()
        return 1.0

    monkeypatch.setattr(duration, "_second_s", second_s)
    monkeypatch.setattr(duration, "MEASURED", 16 * 16)
    hook = model.denoiser.network.register_forward_pre_hook(lambda network, given: seen.add(given[0].shape[-2:]))
    pace = Pace.of(model)
    hook.remove()
    assert seen == {(16, 16)}
    # Convolutions grow with the entries, attention with their square.
    assert pace.step_s > 8.0
    assert pace.decoder_s >= 8.0
