"""Five rounds on a street: which vehicle serves which model, and how near that is to the best there is."""

import gainnet
from gainnet import Greedy, RandomChoice

for policy in (RandomChoice(), Greedy()):
    run = gainnet.orchestrate(gainnet.scenario("street"), policy=policy, rounds=5)
    print(f"{type(policy).__name__:<12} gain {run.gain:.3f}, of the optimum {run.of_optimum:.3f}")
