"""How fast orchestration decides, beside cvxpy, vmas and mobile-env in the same run: JSON lines on standard output.

python benchmarks/orchestration.py [--only WORD] [--no-peers]

Rates are per second of processor time of this process, one thread, the best of some repetitions; a line has the key,
its value and, where there is one, the goal. Lines that begin with `peer.` are of other packages, and are left out where
they are not installed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gainnet.core.randomness import Random
from gainnet.orchestration import Independent, State, load_policy, load_scenario
from gainnet.orchestration.city import City
from gainnet.orchestration.city_world import draw_city, scenario_of_city
from gainnet.orchestration.env import Environment, EnvState
from gainnet.orchestration.scenario import scenario_of
from gainnet.orchestration.workload import achievable_workload, consumption

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "orchestration"))
from convex_workload import ConvexWorkload, Problems, draw_problems, is_trivial, parameters_of

NUM_PROBLEMS, NUM_CONVEX, NUM_TIMED_CONVEX, REPETITIONS = 1 << 13, 200, 60, 7
NUM_WORLDS, NUM_AGENTS, PEER_S = 128, 15, 2.0
SPACING_M, REACH_M, NUM_SLOTS = 250.0, 400.0, 4
GOALS = {
    "workload_per_cpu_s": 2.5e6, "workload_error": 1e-7, "env_per_cpu_s.batched": 4e5, "env_per_cpu_s.single": 2e4,
    "decision_ms.5000.greedy": 10.0, "decision_ms.5000.sac": 10.0, "decision_ms.100000": 1000.0,
}  # fmt: skip
BARS = (
    ("workload_per_cpu_s", 300.0, "peer.cvxpy_per_cpu_s"),
    ("env_per_cpu_s.batched", 2.0, "peer.vmas_per_cpu_s.batched"),
    ("env_per_cpu_s.single", 5.0, "peer.vmas_per_cpu_s.single"),
    ("env_per_cpu_s.single", 2.0, "peer.mobile_env_per_cpu_s"),
)
"""Least ratios to a peer of the same run: machines differ, ratios hardly."""

Measured = Iterator[tuple[str, float]]


def least_s(run: Callable[[], object], repetitions: int = REPETITIONS) -> float:
    """Processor time of the fastest repetition: what disturbs a run only ever lengthens it."""
    run()
    times = []
    for _ in range(repetitions):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def workload(peers: bool) -> Measured:
    """Every problem solved afresh: the exchange of what is consumed, and what can be sensed beside it."""
    problems = draw_problems(NUM_PROBLEMS, random_seed=0)
    yield "workload_per_cpu_s", NUM_PROBLEMS / least_s(lambda: solve(problems), 4 * REPETITIONS)
    few = draw_problems(NUM_CONVEX, random_seed=1)
    program, numbers = ConvexWorkload(), parameters_of(few)
    reference = torch.tensor([program.solve_accurately(n) for n in numbers], dtype=torch.float64)
    yield "workload_error", float(((solve(few) - reference).abs() / reference.clamp_min(1e-9)).max())
    if peers:
        hard = [n for n in numbers if n and not is_trivial(n)][:NUM_TIMED_CONVEX]
        yield "peer.cvxpy_per_cpu_s", len(hard) / least_s(lambda: [program.solve(n) for n in hard], 1)


def solve(problems: Problems) -> torch.Tensor:
    """[num_problems], samples."""
    spent = consumption(problems.pool, problems.task, problems.samples)
    return achievable_workload(problems.pool, spent, problems.sensing, problems.following).samples


def environments(peers: bool) -> Measured:
    """Decisions of clients with all observations: 128 scenarios of 50 at once, and one of 15."""
    for name, num_clients, seeds in (("batched", 50, range(NUM_WORLDS)), ("single", NUM_AGENTS, 0)):
        environment = street_of(num_clients)
        random = Random.of(list(seeds) if isinstance(seeds, range) else seeds)
        start = environment.reset(random)
        num_decisions = start.state.model.numel() * environment.scenario.rounds.num_rounds
        actions = torch.randint(environment.num_models, start.state.model.shape)
        # What a world offers is computed in its first episode, as drawing is: `with_reset` pays for both.
        episode_s = least_s(lambda e=environment, s=start, a=actions: play(e, s, a), 3 * REPETITIONS)
        yield f"env_per_cpu_s.{name}", num_decisions / episode_s
        whole_s = least_s(lambda e=environment, r=random, a=actions: play(e, e.reset(r), a), 2)
        yield f"env_per_cpu_s.{name}.with_reset", num_decisions / whole_s
    if peers:
        yield from vmas_rates()
        yield from mobile_env_rates()


def street_of(num_clients: int) -> Environment:
    """The default scenario with so many independent clients."""
    street = load_scenario("street")
    fields = street.model_dump() | {"clients": street.clients.model_dump() | {"num_clients": num_clients}}
    return Environment(scenario := scenario_of(fields), Independent.of(scenario))


def play(environment: Environment, moment: EnvState, model: torch.Tensor) -> None:
    """One episode, every observation taken."""
    while not moment.over:
        environment.observe(moment)
        moment, _ = environment.step(moment, model)


def vmas_rates() -> Measured:
    """Agent-decisions of the simple spread of vmas, as many scenarios of as many agents."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from vmas import make_env
    except ImportError:
        return
    for name, num_envs in (("batched", NUM_WORLDS), ("single", 1)):
        peer = make_env("simple_spread", num_envs=num_envs, n_agents=NUM_AGENTS, seed=0)
        actions = [peer.get_random_action(agent) for agent in peer.agents]
        yield f"peer.vmas_per_cpu_s.{name}", num_envs * NUM_AGENTS * steps_per_s(lambda p=peer, a=actions: p.step(a))


def mobile_env_rates() -> Measured:
    """Agent-decisions of mobile-env's scenario of 15 users."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import gymnasium
            import mobile_env  # noqa: F401  # names its environments
    except ImportError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer: Any = gymnasium.make("mobile-medium-central-v0")
        peer.reset(seed=0)
        peer.action_space.seed(0)

        def step() -> None:
            _, _, terminated, truncated, _ = peer.step(peer.action_space.sample())
            if terminated or truncated:
                peer.reset()

        yield "peer.mobile_env_per_cpu_s", NUM_AGENTS * steps_per_s(step)


def steps_per_s(step: Callable[[], object]) -> float:
    """Steps per second of processor time."""
    start, num_steps = time.process_time(), 0
    while time.process_time() - start < PEER_S:
        step()
        num_steps += 1
    return num_steps / (time.process_time() - start)


def decisions(peers: bool) -> Measured:
    """One decision for all clients of a city, from what radios and sensors report to the association."""
    city, policy = second_round(5000, 50), load_policy("independent")
    yield "decision_ms.5000.greedy", 1e3 * least_s(lambda: replace(city).greedy(), 3 * REPETITIONS)

    def learned() -> object:
        graph, served = replace(city).graph(NUM_SLOTS)
        return served.gather(-1, policy(graph, Random.of(0)).model.unsqueeze(-1))

    yield "decision_ms.5000.sac", 1e3 * least_s(learned)
    large = second_round(100_000, 1000)
    yield "decision_ms.100000", 1e3 * least_s(lambda: replace(large).greedy(), 3)


def second_round(num_clients: int, num_edges: int) -> City:
    """A city in which everybody consumes what a first greedy decision sensed."""
    first = draw_city(
        scenario_of_city(load_scenario("street"), num_clients, num_edges, SPACING_M), REACH_M, Random.of(1)
    )
    graph, served = first.graph(first.candidate.shape[-1])
    slot = graph.gain.argmax(-1, keepdim=True)
    samples, worth = (x.gather(-1, slot).squeeze(-1) for x in (graph.workload.samples, graph.correlation))
    return replace(first, state=State(served.gather(-1, slot).squeeze(-1).clamp_min(0), samples, worth))


PARTS = {"workload": workload, "environments": environments, "decisions": decisions}


def main() -> int:
    """Exit code: 1 when a ratio to a peer is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="measure this part alone")
    parser.add_argument("--no-peers", action="store_true", help="measure this project alone")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps({"benchmark": "orchestration", "load_average": os.getloadavg()[0], "num_cpus": os.cpu_count()}))
    values: dict[str, float] = {}
    for name, part in PARTS.items():
        for key, value in part(not asked.no_peers) if asked.only in (None, name) else ():
            values[key] = value
            goal = {"goal": GOALS[key]} if key in GOALS else {}
            print(json.dumps({key: float(f"{value:.4g}"), **goal}), flush=True)
    missed = False
    for key, least, peer in BARS:
        if key in values and peer in values:
            ratio = values[key] / values[peer]
            missed |= ratio < least
            print(json.dumps({f"ratio.{key} / {peer}": float(f"{ratio:.4g}"), "bar": least}))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
