"""Rows of the study serving: what a server does with a load."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final

import numpy as np
import torch

from gainnet.catalog.records import GenerationConfig
from gainnet.core.errors import import_extra
from gainnet.core.randomness import Random
from gainnet.models.loading import find_folder, load_model, weights_sha256
from gainnet.models.runtime import on_runtime
from gainnet.service.extra import require_serve
from gainnet.service.node.device import Device
from gainnet.service.node.order import Asked
from gainnet.studies.pictures import captions
from gainnet.studies.serving.load import Seconds, burst, ideal, steady
from gainnet.studies.serving.question import BURST, DEVICES, FEW_STEPS, LOCKED, METHODS, ServingConfig
from gainnet.studies.serving.servers import Server, Servers, pinned, stretch
from gainnet.studies.settings import linear_seed
from gainnet.studies.study import Case, Method, Row

NUM_UNLOADED: Final = 3
NUM_WARM: Final = 4
OVERLOAD: Final = 2.0
"""Arrivals of a burst per service of the locked server."""
MATMUL: Final = 1024
NUM_MATMULS: Final = 10
DEADLINE: Final = 4.0
"""In unloaded latencies of the locked server."""


def identity(config: ServingConfig) -> Mapping[str, str]:
    """sha256 of the weights of the model."""
    return {"scenes": weights_sha256(find_folder("scenes"))}


def open_methods(config: ServingConfig) -> Mapping[str, Method]:
    """The methods, whose servers start when they are first asked.

    Raises:
        MissingExtraError: a library of the service is not installed.
    """
    require_serve()
    import_extra("onnxruntime", "onnxruntime", "serve")
    servers = Servers(config)

    @cache
    def server_of(method: str) -> Server:
        """The server of a method, which has made some pictures: the first ones pay for what is loaded once."""
        server = servers.of(method)
        steady(server, captions("serving", 0, NUM_WARM), 0, config.num_steps, NUM_WARM, NUM_WARM)
        return server

    @cache
    def unloaded_s() -> float:
        """Latency of the locked server without load, which sets the pace of bursts for all servers."""
        prompts = captions("serving", 0, NUM_UNLOADED)
        return float(np.median(steady(server_of(LOCKED), prompts, 0, config.num_steps, NUM_UNLOADED, 1)))

    def run(case: Case, random: Random) -> Row:
        load = case.text("load")
        if load == DEVICES:
            return _devices(server_of(case.method), config, case.random_seed)
        server = server_of(case.method)
        num_steps = (config.few_steps or 0) if case.method == FEW_STEPS else config.num_steps
        if load == BURST:
            return _burst(server, config, num_steps, random, unloaded_s())
        prompts = captions("serving", case.random_seed, config.num_pictures)
        begin_cpu_s, begin_unet_s = server.cpu_s(), server.unet_s()
        latencies = steady(server, prompts, case.random_seed, num_steps, config.num_pictures, config.num_clients)
        cpu_s, unet_s = server.cpu_s() - begin_cpu_s, server.unet_s() - begin_unet_s
        speed = {} if math.isnan(unet_s) else _roofline(config, unet_s, len(latencies) * _picture_flops(num_steps))
        return {"num_pictures": len(latencies), "measured_cpu_s": cpu_s, **_times(latencies), **speed}

    return dict.fromkeys(METHODS, run)


@cache
def _picture_flops(num_steps: int) -> float:
    """Operations of the denoiser's network for a picture, guidance included."""
    return load_model(num_steps=num_steps).denoiser.flops


def _roofline(config: ServingConfig, unet_s: float, flops: float) -> Row:
    """How fast the denoiser's network ran, beside the fastest that the same core does: a product of large matrices."""
    x, durations = torch.ones(MATMUL, MATMUL), []
    torch.set_num_threads(1)
    with pinned(config.core):
        for _ in range(NUM_MATMULS):
            begin_s = time.thread_time()
            torch.mm(x, x)
            durations.append(time.thread_time() - begin_s)
    return {
        "measured_unet_s": unet_s, "measured_unet_gflops_per_s": flops / unet_s / 1e9,
        "measured_matmul_gflops_per_s": 2.0 * MATMUL**3 / min(durations) / 1e9,
    }  # fmt: skip


def _burst(server: Server, config: ServingConfig, num_steps: int, random: Random, unloaded_s: float) -> Row:
    """Arrivals at twice the capacity of the locked server, and then silence."""
    number = round(OVERLOAD * config.burst_services)
    # A Poisson process; the same arrivals for every server of a random seed.
    gaps = -np.log1p(-random.uniform((number,), "arrivals").double().numpy().ravel())
    arrivals_s: Seconds = np.cumsum(gaps) * unloaded_s / OVERLOAD
    seed, within_s = random.random_seeds[0], DEADLINE * unloaded_s
    begin_cpu_s, before = server.cpu_s(), server.threads()
    latencies = burst(server, captions("serving", seed, number), seed, num_steps, arrivals_s, within_s)
    cpu_s, slowed = server.cpu_s() - begin_cpu_s, stretch(before, server.threads())
    # What no server of this capacity can beat: all that it was given of the core, at once, in the order of arrival.
    best = ideal(arrivals_s, slowed * cpu_s / number)
    return {
        "num_pictures": number, "measured_cpu_s": cpu_s, **_times(latencies),
        "measured_in_time_share": float((latencies <= within_s).mean()),
        "measured_ideal_mean_s": float(best.mean()), "measured_ideal_p99_s": float(np.quantile(best, 0.99)),
        "measured_ideal_in_time_share": float((best <= within_s).mean()), "measured_unloaded_s": unloaded_s,
        "measured_stretch": slowed,
    }  # fmt: skip


def _devices(server: Server, config: ServingConfig, random_seed: int) -> Row:
    """Devices that all ask at once, each over a WebSocket of its own, in this process."""
    model = on_runtime(load_model(num_steps=config.num_steps), "onnx")
    prompts = captions("serving", random_seed, config.num_devices)

    def ask(index: int) -> float:
        asked = GenerationConfig(
            (prompts[index],), "eiug", 5.0, codec=linear_seed("eiug"), runtime="onnx",
            random_seed=random_seed + index, harq="none",
        )  # fmt: skip
        begin_s = time.perf_counter()
        Device(server.url, Asked(asked), model).ask()
        return time.perf_counter() - begin_s

    begin_cpu_s = server.cpu_s()
    with ThreadPoolExecutor(config.num_devices) as threads:
        latencies = np.array(list(threads.map(ask, range(config.num_devices))))
    cpu_s = server.cpu_s() - begin_cpu_s
    slowest = float(latencies.max() / np.median(latencies))
    return {
        "num_pictures": len(latencies), "measured_cpu_s": cpu_s, **_times(latencies),
        "measured_slowest_over_median": slowest,
    }  # fmt: skip


def _times(latencies: Seconds) -> Row:
    return {"measured_mean_s": float(latencies.mean()), "measured_p99_s": float(np.quantile(latencies, 0.99))}
