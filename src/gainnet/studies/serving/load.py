"""Clients: a steady number of them, or a burst of arrivals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import httpx
import numpy as np
import numpy.typing as npt

from gainnet.core.errors import ConfigError
from gainnet.studies.serving.servers import Server

TIMEOUT_S: Final = 600.0
Seconds = npt.NDArray[np.float64]


async def _picture(client: httpx.AsyncClient, server: Server, index: int, ask: Sequence[Any]) -> float:
    """Seconds until a picture is there."""
    prompts, random_seed, num_steps, within_s = ask
    url, body = server.request(prompts[index % len(prompts)], random_seed + index, num_steps, within_s)
    begin_s = time.perf_counter()
    answer = await client.post(url, json=body)
    if answer.status_code != 200:
        raise ConfigError(f"serving: {server.method} answered {answer.status_code}; {answer.text[:200]}")
    return time.perf_counter() - begin_s


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=TIMEOUT_S, limits=httpx.Limits(max_connections=None))


def steady(
    server: Server, prompts: Sequence[str], random_seed: int, num_steps: int, num_pictures: int, num_clients: int
) -> Seconds:
    """[num_pictures], latency of pictures for clients that each ask for the next one when they have one, in s."""

    async def run() -> list[float]:
        left, latencies = iter(range(num_pictures)), list[float]()

        async def one(client: httpx.AsyncClient) -> None:
            for index in left:
                latencies.append(await _picture(client, server, index, (prompts, random_seed, num_steps, TIMEOUT_S)))

        async with _client() as client:
            await asyncio.gather(*(one(client) for _ in range(num_clients)))
        return latencies

    return np.array(asyncio.run(run()))


def burst(
    server: Server, prompts: Sequence[str], random_seed: int, num_steps: int, arrivals_s: Seconds, within_s: float
) -> Seconds:
    """[num_pictures], latency of pictures that are asked for at given times, whatever has been answered, in s.

    Args:
        server: that is asked.
        prompts: in turn.
        random_seed: of the first picture.
        num_steps: of the sampler.
        arrivals_s: [num_pictures], since the start.
        within_s: deadline of each, which a server may heed.
    """

    async def run() -> list[float]:
        begin_s = time.perf_counter()

        async def one(client: httpx.AsyncClient, index: int) -> float:
            await asyncio.sleep(max(begin_s + arrivals_s[index] - time.perf_counter(), 0.0))
            return await _picture(client, server, index, (prompts, random_seed, num_steps, within_s))

        async with _client() as client:
            return await asyncio.gather(*(one(client, k) for k in range(len(arrivals_s))))

    return np.array(asyncio.run(run()))


def ideal(arrivals_s: Seconds, service_s: float) -> Seconds:
    """[num_pictures], latency in a queue of one server that serves in the order of arrival and never idles, in s.

    Args:
        arrivals_s: [num_pictures], in order.
        service_s: of every picture.

    >>> ideal(np.array([0.0, 0.5, 10.0]), 1.0).tolist()
    [1.0, 1.5, 1.0]
    """
    ends, free_s = [], 0.0
    for arrival_s in arrivals_s:
        free_s = max(free_s, arrival_s) + service_s
        ends.append(free_s - arrival_s)
    return np.array(ends)
