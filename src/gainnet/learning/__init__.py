"""Learning across cloud, edge and devices: rounds, split models, safeguards and the loop of knowledge.

Here live algorithms (one round from one state to the next), who takes part, what crosses and what it costs. Models
themselves are in `models`, sockets in `wire`, and prices in the ledger of `protocols`; text never leaves a client.

Names below are for calling `learn`; parts of rounds of one's own stand in the rooms that hold them.

state --round(clients): compute, Exchange over the air, Aggregation--> state, report
"""

from gainnet.learning.algorithms.fsl import AveragedEdge, SharedEdge
from gainnet.learning.algorithms.methods import (
    Adapter,
    FedOpt,
    FedProx,
    Lora,
    Scaffold,
    SoftPrompt,
    Split,
    SplitLora,
    WholeModel,
)
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.front import learn
from gainnet.learning.runner import Run
from gainnet.learning.safeguards.settings import Safeguards
from gainnet.learning.session import Learning, Session
from gainnet.learning.split.model import Cut

__all__ = [
    "Adapter",
    "AveragedEdge",
    "Client",
    "Cut",
    "FedOpt",
    "FedProx",
    "Learning",
    "LocalTraining",
    "Lora",
    "Participation",
    "Run",
    "Safeguards",
    "Scaffold",
    "Session",
    "SharedEdge",
    "SoftPrompt",
    "Split",
    "SplitLora",
    "WholeModel",
    "learn",
]
