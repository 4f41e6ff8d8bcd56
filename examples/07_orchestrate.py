"""Who serves which model with which resources: greedy, a learned policy and the optimum where rounds are coupled."""

from gainnet.core.randomness import Random
from gainnet.orchestration import (
    Greedy,
    Independent,
    MostTargets,
    draw_world,
    follow,
    independent_optimum,
    load_policy,
    load_scenario,
    play,
    schedules_of,
    violations,
)

WORLDS = [1, 2, 3]
scenario = load_scenario("coupled")
world, regime = draw_world(scenario, Random.of(WORLDS)), Independent.of(scenario)
optimum = independent_optimum(world, regime)

print("policy            gain   of optimum   consumed")
for name, policy in {"MP-TSC": MostTargets(), "greedy": Greedy(), "SAC": load_policy("coupled-0")}.items():
    rollout = play(world, regime, policy, Random.of(WORLDS))
    gain, share = rollout.gain.sum(-1), rollout.gain.sum(-1) / optimum.gain
    print(f"{name:<12} {gain.mean():9.3f} {share.mean():12.3f} {rollout.consumed_share.mean():10.3f}")
print(f"{'optimum':<12} {optimum.gain.mean():9.3f} {1.0:12.3f}")

boards = schedules_of(world, regime, follow(world, regime, optimum.model))
print(f"rounds in which a cell is used twice or an order is broken: {sum(bool(violations(board)) for board in boards)}")
