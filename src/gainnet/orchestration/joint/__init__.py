"""Training and application together: edges that train with clients also answer the requests of users.

scenario --> Site (edges, weights, Demand) + Offer of a CR --> policy --> Allocation: cells of two matrices an edge
                                           `---------------> Frontier, the bound of a convex program

Two matrices of each edge, time-frequency and time-computing, are what the optimiser fills: every column of its program
is a client's whole round as cells, and requests take theirs in every slot.
"""

from __future__ import annotations

from gainnet.orchestration.joint.allocation import Allocation
from gainnet.orchestration.joint.bound import Frontier
from gainnet.orchestration.joint.demand import Demand, Measured, demand_of, with_requests
from gainnet.orchestration.joint.pareto import hypervolume
from gainnet.orchestration.joint.policies import JOINT_POLICIES, JointPolicy, Online, Priority, StaticSplit
from gainnet.orchestration.joint.served import Served, serve
from gainnet.orchestration.joint.site import Site
from gainnet.orchestration.joint.together import Together, together

__all__ = [
    "JOINT_POLICIES",
    "Allocation",
    "Demand",
    "Frontier",
    "JointPolicy",
    "Measured",
    "Online",
    "Priority",
    "Served",
    "Site",
    "StaticSplit",
    "Together",
    "demand_of",
    "hypervolume",
    "serve",
    "together",
    "with_requests",
]
