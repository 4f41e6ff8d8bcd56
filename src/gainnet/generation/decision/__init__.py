"""One decision per request: which protocol, codec and power meet a bound at least cost, from measured tables."""

from gainnet.generation.decision.choice import Considered, Decision, Goal, State, Wanted, decide
from gainnet.generation.decision.table import DecisionTable, load_table, usable_table

__all__ = [
    "Considered",
    "Decision",
    "DecisionTable",
    "Goal",
    "State",
    "Wanted",
    "decide",
    "load_table",
    "usable_table",
]
