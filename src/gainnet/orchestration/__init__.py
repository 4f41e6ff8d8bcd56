"""Which client serves which model with which resources, so that the models gain most.

scenario -> world -> graph of a round -> policy -> association -> samples sensed -> samples consumed -> gain
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
    paper_baselines,
    policies,
)
from gainnet.orchestration.board import draw_board, occupancy, violations
from gainnet.orchestration.bound import Columns, RoundSolution, horizon_bound, lagrangian_round, milp_round
from gainnet.orchestration.congestion import Crowd, ShareTable
from gainnet.orchestration.env import Environment, Moment
from gainnet.orchestration.episode import Episode, EpisodeConfig, find_policy, orchestrate, resized
from gainnet.orchestration.features import Sight
from gainnet.orchestration.gain import CORRELATIONS, GAIN_FUNCTIONS, Correlation, GainFunction
from gainnet.orchestration.graph import Graph, State, consumed, graph_of
from gainnet.orchestration.learned import Learned, load_policy, pretrained_names, trained_config
from gainnet.orchestration.network import PairNetwork
from gainnet.orchestration.optimum import Optimum, exhaustive_optimum, independent_optimum
from gainnet.orchestration.reference import Reference, reference_of
from gainnet.orchestration.regime import Contention, Independent, Regime
from gainnet.orchestration.replay import follow, schedules_of
from gainnet.orchestration.resources import Grid, Pool
from gainnet.orchestration.rollout import Rollout, play
from gainnet.orchestration.rounds import Activity, Schedule, serial_schedule, zeros_schedule
from gainnet.orchestration.scenario import Scenario, load_scenario, scenario_names, scenario_of
from gainnet.orchestration.workload import (
    Consumption,
    Reason,
    Sensing,
    Task,
    Workload,
    achievable_workload,
    consumable_workload,
    consumption,
    serial_workload,
    steady_workload,
    workload_up_to,
)
from gainnet.orchestration.world import World, draw_world

__all__ = [
    "CORRELATIONS",
    "GAIN_FUNCTIONS",
    "Activity",
    "Association",
    "BestResponse",
    "Columns",
    "Consumption",
    "Contention",
    "Correlation",
    "Crowd",
    "CrowdGreedy",
    "Environment",
    "Episode",
    "EpisodeConfig",
    "GainFunction",
    "Graph",
    "Greedy",
    "Grid",
    "Independent",
    "LargestCorrelation",
    "Learned",
    "LeastLatency",
    "LoadTable",
    "Matching",
    "Moment",
    "MostTargets",
    "Optimum",
    "PairNetwork",
    "Policy",
    "Pool",
    "RandomChoice",
    "Reason",
    "Reference",
    "Regime",
    "Rollout",
    "RoundSolution",
    "Scenario",
    "Schedule",
    "Sensing",
    "SequentialGreedy",
    "ShareTable",
    "Sight",
    "State",
    "Task",
    "Workload",
    "World",
    "achievable_workload",
    "consumable_workload",
    "consumed",
    "consumption",
    "draw_board",
    "draw_world",
    "exhaustive_optimum",
    "find_policy",
    "follow",
    "graph_of",
    "horizon_bound",
    "independent_optimum",
    "lagrangian_round",
    "load_policy",
    "load_scenario",
    "milp_round",
    "occupancy",
    "orchestrate",
    "paper_baselines",
    "play",
    "policies",
    "pretrained_names",
    "reference_of",
    "resized",
    "scenario_names",
    "scenario_of",
    "schedules_of",
    "serial_schedule",
    "serial_workload",
    "steady_workload",
    "trained_config",
    "violations",
    "workload_up_to",
    "zeros_schedule",
]
