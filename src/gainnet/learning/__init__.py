"""Learning across cloud, edge and devices: rounds, split models, safeguards and the loop of knowledge.

Here live algorithms (one round from one state to the next), who takes part, what crosses and what it costs. Models
themselves are in `models`, sockets in `wire`, and prices in the ledger of `protocols`; text never leaves a client.

Names below are for calling `learn` and for rounds of one's own; parts to compose stand in the rooms that hold them.

state --round(clients): compute, Exchange over the air, Aggregation--> state, report
"""

from gainnet.learning.algorithms.fedavg import FedAvg
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.algorithms.fsl import AveragedEdge, SharedEdge, SplitLearning
from gainnet.learning.algorithms.methods import Adapter, Lora, SoftPrompt, Split, WholeModel
from gainnet.learning.clients import Client, LocalTraining, Participation
from gainnet.learning.config import LearnConfig, open_session
from gainnet.learning.front import learn
from gainnet.learning.loop import Loop
from gainnet.learning.runner import Run, run_rounds
from gainnet.learning.safeguards.settings import Safeguards, learn_safely
from gainnet.learning.split.model import Cut

__all__ = [
    "Adapter",
    "AveragedEdge",
    "Client",
    "Cut",
    "FedAvg",
    "Fpl",
    "LearnConfig",
    "LocalTraining",
    "Loop",
    "Lora",
    "Participation",
    "Run",
    "Safeguards",
    "SharedEdge",
    "SoftPrompt",
    "Split",
    "SplitLearning",
    "WholeModel",
    "learn",
    "learn_safely",
    "open_session",
    "run_rounds",
]
