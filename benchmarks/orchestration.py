"""The achievable workload beside a convex program; the environment beside a loop over clients and beside mobile-env.

python benchmarks/orchestration.py [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from gainnet.core.randomness import Random
from gainnet.orchestration.association import RandomChoice
from gainnet.orchestration.env import Environment
from gainnet.orchestration.regime import Independent
from gainnet.orchestration.scenario import load_scenario, scenario_of
from gainnet.orchestration.workload import achievable_workload, consumption

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "orchestration"))
from convex_workload import ConvexWorkload, Problems, draw_problems, is_trivial, parameters_of

NUM_PROBLEMS, NUM_BATCHES, NUM_CONVEX, NUM_CORES = 1 << 13, 40, 200, 2
MOBILE_ENV_AGENTS, MOBILE_ENV_S = {"small": 5, "medium": 15, "large": 30}, 2.0
NUM_WORLDS, NUM_EPISODES, NUM_SINGLE, BAR_DECISIONS_PER_S = 128, 6, 40, 200_000.0
BAR_PER_S, BAR_PER_THREAD_S, BAR_RATIO = 500_000.0, 250_000.0, 300.0


def solve(problems: Problems) -> None:
    """One batch, exchange and workload."""
    spent = consumption(problems.pool, problems.task, problems.samples)
    achievable_workload(problems.pool, spent, problems.sensing, problems.following)


def rate_per_s(num_solved: int, run: Callable[[], None], clock: Callable[[], float]) -> float:
    """Solved problems per second of `clock`."""
    start = clock()
    run()
    return num_solved / (clock() - start)


def workload_rates() -> dict[str, float]:
    """Problems per second: batched on one thread and on two, and one by one in a convex program."""
    problems, few = draw_problems(NUM_PROBLEMS, random_seed=0), draw_problems(NUM_CONVEX, random_seed=1)
    program, numbers = ConvexWorkload(), [n for n in parameters_of(few) if n and not is_trivial(n)]
    solve(problems)
    program.solve(numbers[0])
    num_batched = NUM_BATCHES * NUM_PROBLEMS

    def on_all_cores() -> None:
        with ThreadPoolExecutor(NUM_CORES) as threads:
            list(threads.map(solve, [problems] * NUM_BATCHES))

    return {
        "thread_per_s": rate_per_s(
            num_batched, lambda: [solve(problems) for _ in range(NUM_BATCHES)], time.thread_time
        ),
        "cores_per_s": rate_per_s(num_batched, on_all_cores, time.perf_counter),
        "convex_per_s": rate_per_s(len(numbers), lambda: [program.solve(n) for n in numbers], time.thread_time),
    }


def play(environment: Environment, random_seeds: Sequence[int]) -> None:
    """One episode of a batch with random associations, every observation taken."""
    random = Random.of(random_seeds)
    moment = environment.reset(random)
    while not moment.over:
        environment.observe(moment)
        assert moment.graph is not None
        moment, _ = environment.step(moment, RandomChoice()(moment.graph, random.child(moment.cr)).model)


def street_environment() -> Environment:
    """The default scenario, independent clients."""
    street = load_scenario("street")
    return Environment(street, Independent.of(street))


def episodes_per_s(first_seed: int) -> float:
    """Client-decisions per second of processor time in this process."""
    torch.set_num_threads(1)
    environment = street_environment()
    starts = range(first_seed, first_seed + NUM_EPISODES * NUM_WORLDS, NUM_WORLDS)
    play(environment, range(NUM_WORLDS))
    num_decisions = NUM_EPISODES * NUM_WORLDS * environment.num_clients * environment.scenario.rounds.num_rounds

    def run() -> None:
        for start in starts:
            play(environment, range(start, start + NUM_WORLDS))

    return rate_per_s(num_decisions, run, time.process_time)


def environment_rates() -> dict[str, float]:
    """Client-decisions per second: batched in one process and in two at once, and one client at a time."""
    street = load_scenario("street")
    lonely = scenario_of(street.model_dump() | {"clients": street.clients.model_dump() | {"num_clients": 1}})
    single = Environment(lonely, Independent.of(lonely))

    def one_by_one() -> None:
        for seed in range(NUM_SINGLE):
            play(single, [seed])

    with ProcessPoolExecutor(NUM_CORES, mp_context=get_context("spawn")) as processes:
        at_once = list(processes.map(episodes_per_s, range(NUM_CORES)))
    return {
        "decisions_process_per_s": episodes_per_s(0),
        "decisions_cores_per_s": sum(at_once),
        "decisions_loop_per_s": rate_per_s(NUM_SINGLE * street.rounds.num_rounds, one_by_one, time.process_time),
    }


def mobile_env_rates() -> dict[str, float]:
    """Agent-decisions per second of mobile-env and of ours with as many agents; empty without mobile-env."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import gymnasium
            import mobile_env  # noqa: F401  # names its environments
    except ImportError:
        return {}
    rates: dict[str, float] = {}
    street = load_scenario("street")
    for size, num_agents in MOBILE_ENV_AGENTS.items():
        fields = street.model_dump() | {"clients": street.clients.model_dump() | {"num_clients": num_agents}}
        scenario = scenario_of(fields)
        environment = Environment(scenario, Independent.of(scenario))
        play(environment, range(NUM_WORLDS))
        num_decisions = NUM_WORLDS * num_agents * scenario.rounds.num_rounds
        rates[f"ours_{num_agents}_per_s"] = rate_per_s(
            num_decisions, lambda env=environment: play(env, range(NUM_WORLDS)), time.process_time
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rates[f"mobile_env_{num_agents}_per_s"] = num_agents * steps_per_s(
                gymnasium.make(f"mobile-{size}-central-v0")
            )
    return rates


def steps_per_s(environment: Any) -> float:
    """Steps of a Gymnasium environment with random actions."""
    environment.reset(seed=0)
    environment.action_space.seed(0)
    start, num_steps = time.process_time(), 0
    while time.process_time() - start < MOBILE_ENV_S:
        _, _, terminated, truncated, _ = environment.step(environment.action_space.sample())
        num_steps += 1
        if terminated or truncated:
            environment.reset()
    return num_steps / (time.process_time() - start)


def main() -> int:
    """Exit code: 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rates = workload_rates()
    ratio = rates["thread_per_s"] / rates["convex_per_s"]
    print(f"achievable workload, batches of {NUM_PROBLEMS}, float64, per s of processor time (2 threads: wall time)")
    print(f"  one thread     {rates['thread_per_s']:12,.0f}   bar {BAR_PER_THREAD_S:,.0f}")
    print(f"  {NUM_CORES} threads      {rates['cores_per_s']:12,.0f}   bar {BAR_PER_S:,.0f}")
    print(
        f"  convex program {rates['convex_per_s']:12,.0f}   batched is {ratio:,.0f} times as fast, bar {BAR_RATIO:.0f}"
    )
    rates |= environment_rates()
    faster = rates["decisions_process_per_s"] / rates["decisions_loop_per_s"]
    print(
        f"environment, {NUM_WORLDS} scenarios of 50 clients, draws and observations included, per s of processor time"
    )
    print(f"  one process    {rates['decisions_process_per_s']:12,.0f}   bar {BAR_DECISIONS_PER_S / NUM_CORES:,.0f}")
    print(f"  {NUM_CORES} at once      {rates['decisions_cores_per_s']:12,.0f}   bar {BAR_DECISIONS_PER_S:,.0f}")
    print(f"  one by one     {rates['decisions_loop_per_s']:12,.0f}   batched is {faster:,.0f} times as fast")
    beside = mobile_env_rates()
    if not beside:
        print("  mobile-env is not installed, so nothing is beside it; it is in the extra dev")
    for num_agents in MOBILE_ENV_AGENTS.values() if beside else ():
        ours, theirs = beside[f"ours_{num_agents}_per_s"], beside[f"mobile_env_{num_agents}_per_s"]
        print(f"  {num_agents:2d} agents {ours:14,.0f}   mobile-env {theirs:,.0f}: {ours / theirs:,.0f} times as fast")
    rates |= beside
    held = rates["thread_per_s"] >= BAR_PER_THREAD_S and rates["cores_per_s"] >= BAR_PER_S and ratio >= BAR_RATIO
    held &= rates["decisions_cores_per_s"] >= BAR_DECISIONS_PER_S
    if asked.json:
        asked.json.write_text(
            json.dumps({"benchmark": "orchestration", **rates, "ratio": ratio, "loop_ratio": faster}, indent=2) + "\n"
        )
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
