"""Passes of many requests in one engine: the same tensors, the urgent first, bounded, cancelled where asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from gainnet.catalog.opening import open_request
from gainnet.catalog.records import GenerationConfig
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.generation.planning import inputs, streams
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.models.runtime import on_runtime
from gainnet.protocols import execute
from gainnet.service.engine import BusyError, Engine
from gainnet.service.engine.request import Progress

PROMPTS = ("a red star", "a blue house at night", "a green circle above a red square", "a star")


@pytest.fixture(scope="module", params=[pytest.param("torch", marks=pytest.mark.slow), "onnx"])
def model(request: pytest.FixtureRequest) -> DiffusionModel:
    return on_runtime(load_model(num_steps=2), request.param)


@pytest.fixture(scope="module")
def onnx() -> DiffusionModel:
    return on_runtime(load_model(num_steps=2), "onnx")


@pytest.fixture
def engine(onnx: DiffusionModel) -> Iterator[Engine]:
    with Engine(onnx, most_batch=4, most_waiting=3) as engine:
        yield engine


def made(model: DiffusionModel, prompt: str, random_seed: int, protocol: str = "centralized", **fields: Any) -> Tensor:
    config = GenerationConfig((prompt,), protocol, random_seed=random_seed, **fields)
    request = open_request(config, model)
    planned = request.make_plan()
    with torch.inference_mode():
        places, _ = execute(planned.plan, inputs(request.prompts), planned.network, streams(random_seed, 1))
    return places[planned.plan.result]


CASES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("a red star", "centralized", {"fading": "ideal"}),
    ("a blue house at night", "eiug", {"snr_db": 5.0}),
    ("a green circle above a red square", "ciag", {"cut": 1}),
    ("a star", "ciag", {"cut": 1, "codec": {"midway": "matched"}, "snr_db": 0.0}),
)


@pytest.mark.slow
def test_many_requests_at_once_make_what_each_makes_alone(model: DiffusionModel) -> None:
    alone = [made(model, prompt, k, protocol, **fields) for k, (prompt, protocol, fields) in enumerate(CASES)]
    with Engine(model) as engine, ThreadPoolExecutor(len(CASES)) as threads:

        def served(k: int) -> Tensor:
            prompt, protocol, fields = CASES[k]
            with engine.request():
                return made(engine.model, prompt, k, protocol, **fields)

        # All have asked before the first tick, however the machine runs their threads.
        release, asked = held(engine), [threads.submit(served, k) for k in range(len(CASES))]
        while len(engine._queue) < len(CASES):
            time.sleep(0.001)
        release()
        together = [each.result() for each in asked]
        status = engine.status()
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
    assert status.num_open == status.num_waiting == 0
    # torch gives a row other bits in another batch, so that there no pass is shared.
    assert (status.occupancy > 2.0) == (model.runtime == "onnx")
    assert status.num_rows["unet"] == 4 * len(CASES)


@pytest.mark.slow
def test_a_request_may_have_its_own_steps_and_guidance(onnx: DiffusionModel) -> None:
    expected = made(on_runtime(load_model(num_steps=3, guidance_scale=1.0), "onnx"), "a red star", 5)
    with Engine(onnx) as engine:
        assert torch.equal(made(engine.model_with(3, 1.0), "a red star", 5), expected)
        assert engine.model_with() is engine.model
        assert engine.model_with(3, 1.0) is engine.model_with(3, 1.0)
        with pytest.raises(ConfigError, match="num_steps"):
            engine.model_with(0)


def held(engine: Engine) -> Callable[[], None]:
    """Keeps the engine in a pass until the returned function is called."""
    free, began = threading.Event(), threading.Event()
    decode = engine._networks["decoder"]

    def slow(z: Tensor) -> Tensor:
        began.set()
        free.wait()
        return decode(z)

    engine._networks = {**engine._networks, "decoder": slow}
    threading.Thread(target=decoded, args=(engine,)).start()
    began.wait()
    return free.set


def decoded(engine: Engine) -> Tensor:
    return engine.model.decoder({"latent": torch.zeros(1, *engine.model.latent.shape)}, Random.of([0]))["image"]


def unet_pass(engine: Engine, deadline_s: float, order: list[float], begun: threading.Semaphore) -> None:
    denoiser = engine.model.denoiser
    condition = torch.zeros(2, *engine.model.text_encoder.writes["condition"].shape[1:])
    with engine.request(deadline_s, watch=lambda progress: order.append(deadline_s)):
        begun.release()
        denoiser.predict_guided(torch.zeros(1, *engine.model.latent.shape), condition, denoiser.timesteps[0])


@pytest.mark.parametrize("most_batch", [2, 4])
def test_the_earliest_deadline_goes_first_even_when_it_has_passed(onnx: DiffusionModel, most_batch: int) -> None:
    with Engine(onnx, most_batch=most_batch) as engine:
        release, order, begun = held(engine), list[float](), threading.Semaphore(0)
        deadlines = (30.0, 0.0, 10.0, 20.0)
        threads = [threading.Thread(target=unet_pass, args=(engine, s, order, begun)) for s in deadlines]
        for thread in threads:
            thread.start()
        while len(engine._queue) < len(deadlines):
            threads[0].join(0.001)
        release()
        for thread in threads:
            thread.join()
        shared = [tick.num_rows for tick in engine.status().ticks if tick.network == "unet"]
    assert shared == [most_batch] * (8 // most_batch)
    # Threads of one tick may append in any order.
    ticks = [set(order[k : k + most_batch // 2]) for k in range(0, 4, most_batch // 2)]
    assert ticks == ([{0.0}, {10.0}, {20.0}, {30.0}] if most_batch == 2 else [{0.0, 10.0}, {20.0, 30.0}])
    assert engine.status().late == 1


def test_a_cancelled_request_ends_while_it_waits(engine: Engine) -> None:
    release = held(engine)
    requests: list[Any] = []
    begun = threading.Event()

    def cancelled() -> bool:
        with engine.request() as request:
            requests.append(request)
            begun.set()
            try:
                decoded(engine)
            except CancelledError:
                return True
        return False

    with ThreadPoolExecutor(1) as thread:
        outcome = thread.submit(cancelled)
        begun.wait()
        requests[0].cancel()
        assert outcome.result(10)
    release()
    assert decoded(engine).shape == (1, 3, 128, 128)


def test_no_more_requests_are_open_than_it_takes(engine: Engine) -> None:
    with (
        engine.request(num_passes=20), engine.request(num_passes=20), engine.request(num_passes=1000),
        pytest.raises(BusyError) as error, engine.request(),
    ):  # fmt: skip
        pass
    assert error.value.retry_after_s >= 1.0
    with engine.request():
        pass


def test_progress_is_told_pass_by_pass(engine: Engine) -> None:
    told: list[Progress] = []
    with engine.request(watch=told.append) as request:
        made(engine.model, "a red star", 0)
        assert request.steps == 2
        assert request.num_rows == 4
    assert [each.step for each in told] == [0, 1]
    assert [each.timestep.tolist() for each in told] == [[999, 999], [499, 499]]


def test_a_batch_that_fails_fails_alone(engine: Engine) -> None:
    with pytest.raises(Exception, match="dimension"):
        engine.model.pipeline.unet(torch.zeros(1, 4, 3, 3), torch.zeros(1), encoder_hidden_states=torch.zeros(1, 1, 1))
    assert decoded(engine).shape == (1, 3, 128, 128)


def test_a_closed_engine_cancels_what_comes(onnx: DiffusionModel) -> None:
    with Engine(onnx) as engine:
        pass
    with pytest.raises(CancelledError):
        decoded(engine)


@pytest.mark.slow
def test_texts_come_out_of_many_threads_as_out_of_one(onnx: DiffusionModel) -> None:
    """Fast tokenizers are not safe between threads; see `SharedTokenizer`."""

    def encoded(model: DiffusionModel, prompt: str) -> Tensor:
        return model.text_encoder({"prompt": text_to_tensor((prompt,))}, Random.of([0]))["condition"]

    expected = [encoded(onnx, prompt) for prompt in PROMPTS]
    with Engine(onnx) as engine, ThreadPoolExecutor(8) as threads:
        many = list(threads.map(lambda k: encoded(engine.model, PROMPTS[k % 4]), range(200)))
    assert all(torch.equal(one, expected[k % 4]) for k, one in enumerate(many))


def test_a_model_made_by_hand_is_refused(onnx: DiffusionModel) -> None:
    with pytest.raises(ConfigError, match="runtime"):
        Engine(replace(onnx, text_encoder=onnx.prior))
