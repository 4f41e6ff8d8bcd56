"""Learning across cloud, edge and devices: rounds, split models, safeguards and the loop of knowledge.

Here live algorithms (one round from one state to the next), who takes part, what crosses and what it costs. Models
themselves are in `models`, sockets in `wire`, and prices in the ledger of `protocols`; text never leaves a client.

state --round(clients): compute, Exchange over the air, Aggregation--> state, report
"""

from gainnet.learning.algorithms.adapters import FORMS, Form, attach, folded, load_adapter
from gainnet.learning.algorithms.aggregation import Aggregation, Merged, Open, ProductMean, Rule, WeightedMean
from gainnet.learning.algorithms.algorithm import Algorithm, State, average
from gainnet.learning.algorithms.costs import StepCost, split_step_cost, whole_step_cost
from gainnet.learning.algorithms.fedavg import FedAvg
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.algorithms.fsl import AveragedEdge, SharedEdge, SplitLearning
from gainnet.learning.algorithms.methods import Adapter, Lora, Method, SoftPrompt, Split, WholeModel
from gainnet.learning.clients import (
    Client,
    LocalTraining,
    Participation,
    cell_of,
    devices_of,
    dirichlet_shares,
    partition,
)
from gainnet.learning.config import (
    ALGORITHMS,
    LearnConfig,
    Session,
    config_of,
    make_algorithm,
    network_of,
    open_model,
    open_session,
)
from gainnet.learning.exchange import KINDS, PRIVATE, Exchange
from gainnet.learning.front import learn
from gainnet.learning.loop import Distillation, Edge, Loop, backhaul_of, distil, grow, merged_into
from gainnet.learning.runner import Run, cost_of, run_rounds
from gainnet.learning.safeguards.contributions import Auction, leave_one_out, sampled_shapley, shapley, vcg
from gainnet.learning.safeguards.poisoning import GaussianUpdate, Poisoned, SignFlip, Tampering, swapped_words
from gainnet.learning.safeguards.privacy import Guarantee, PrivateMean, PrivateSteps, noise_for, spent_epsilon
from gainnet.learning.safeguards.record import Keyring, Recorded, Verified, verify, verify_file
from gainnet.learning.safeguards.robust import Krum, Median, TrimmedMean
from gainnet.learning.safeguards.secure_aggregation import MaskedMean, MaskedPrivateMean, MaskedSum
from gainnet.learning.safeguards.settings import Safeguards, learn_safely
from gainnet.learning.split.cut import Cut
from gainnet.learning.split.model import SplitModel

__all__ = [
    "ALGORITHMS",
    "FORMS",
    "KINDS",
    "PRIVATE",
    "Adapter",
    "Aggregation",
    "Algorithm",
    "Auction",
    "AveragedEdge",
    "Client",
    "Cut",
    "Distillation",
    "Edge",
    "Exchange",
    "FedAvg",
    "Form",
    "Fpl",
    "GaussianUpdate",
    "Guarantee",
    "Keyring",
    "Krum",
    "LearnConfig",
    "LocalTraining",
    "Loop",
    "Lora",
    "MaskedMean",
    "MaskedPrivateMean",
    "MaskedSum",
    "Median",
    "Merged",
    "Method",
    "Open",
    "Participation",
    "Poisoned",
    "PrivateMean",
    "PrivateSteps",
    "ProductMean",
    "Recorded",
    "Rule",
    "Run",
    "Safeguards",
    "Session",
    "SharedEdge",
    "SignFlip",
    "SoftPrompt",
    "Split",
    "SplitLearning",
    "SplitModel",
    "State",
    "StepCost",
    "Tampering",
    "TrimmedMean",
    "Verified",
    "WeightedMean",
    "WholeModel",
    "attach",
    "average",
    "backhaul_of",
    "cell_of",
    "config_of",
    "cost_of",
    "devices_of",
    "dirichlet_shares",
    "distil",
    "folded",
    "grow",
    "learn",
    "learn_safely",
    "leave_one_out",
    "load_adapter",
    "make_algorithm",
    "merged_into",
    "network_of",
    "noise_for",
    "open_model",
    "open_session",
    "partition",
    "run_rounds",
    "sampled_shapley",
    "shapley",
    "spent_epsilon",
    "split_step_cost",
    "swapped_words",
    "vcg",
    "verify",
    "verify_file",
    "whole_step_cost",
]
