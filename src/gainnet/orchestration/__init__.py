"""Which client trains which model, with how much spectrum, time and computing, so that the models gain most.

scenario -> world -> graph of a round -> policy -> association -> samples sensed -> samples consumed -> gain

Resources, policies, optima and bounds are here, with the training of the learned policy. Path loss is in `radio`,
mobility in `network`; training of the models that are served is in `learning`.
"""

from gainnet.orchestration.association import (
    Association,
    BestResponse,
    CrowdGreedy,
    Greedy,
    LargestCorrelation,
    LeastLatency,
    LoadTable,
    Matching,
    MostTargets,
    Policy,
    RandomChoice,
    SequentialGreedy,
)
from gainnet.orchestration.board import violations
from gainnet.orchestration.bound import horizon_bound, milp_round
from gainnet.orchestration.city import City
from gainnet.orchestration.city_world import draw_city, scenario_of_city
from gainnet.orchestration.drawn import drawn_scenario
from gainnet.orchestration.env import Environment, EnvState
from gainnet.orchestration.episode import Episode, orchestrate
from gainnet.orchestration.graph import Graph, State, consumed, graph_of
from gainnet.orchestration.lagrangian import Lagrangian
from gainnet.orchestration.learned import load_policy, pretrained_names
from gainnet.orchestration.lookahead import LookAhead
from gainnet.orchestration.optimum import Optimum, exhaustive_optimum, independent_optimum
from gainnet.orchestration.regime import REGIMES, Contention, Independent, Regime
from gainnet.orchestration.registry import policies
from gainnet.orchestration.resources import Pool
from gainnet.orchestration.roads import on_roads
from gainnet.orchestration.rollout import Rollout, follow, hand_overs, play, schedules_of
from gainnet.orchestration.rounds import Activity, Schedule
from gainnet.orchestration.scenario import Scenario, load_scenario, scenario_names
from gainnet.orchestration.task import Sensing, Task
from gainnet.orchestration.trained import pooled, trained_gain
from gainnet.orchestration.trained_optimum import TrainedOptimum, trained_bounds, trained_optimum
from gainnet.orchestration.workload import consumption, serial_workload, steady_workload
from gainnet.orchestration.world import World, draw_world

__all__ = [
    "REGIMES",
    "Activity",
    "Association",
    "BestResponse",
    "City",
    "Contention",
    "CrowdGreedy",
    "EnvState",
    "Environment",
    "Episode",
    "Graph",
    "Greedy",
    "Independent",
    "Lagrangian",
    "LargestCorrelation",
    "LeastLatency",
    "LoadTable",
    "LookAhead",
    "Matching",
    "MostTargets",
    "Optimum",
    "Policy",
    "Pool",
    "RandomChoice",
    "Regime",
    "Rollout",
    "Scenario",
    "Schedule",
    "Sensing",
    "SequentialGreedy",
    "State",
    "Task",
    "TrainedOptimum",
    "World",
    "consumed",
    "consumption",
    "draw_city",
    "draw_world",
    "drawn_scenario",
    "exhaustive_optimum",
    "follow",
    "graph_of",
    "hand_overs",
    "horizon_bound",
    "independent_optimum",
    "load_policy",
    "load_scenario",
    "milp_round",
    "on_roads",
    "orchestrate",
    "play",
    "policies",
    "pooled",
    "pretrained_names",
    "scenario_names",
    "scenario_of_city",
    "schedules_of",
    "serial_workload",
    "steady_workload",
    "trained_bounds",
    "trained_gain",
    "trained_optimum",
    "violations",
]
