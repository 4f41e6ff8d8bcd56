"""Nodes, the links between them, and the hardware that they compute with.

Also here: schedulers, several devices in a cell, mobility and networks from files. Not here: plans, codecs and models.
"""

from gainnet.network.backhaul import Wire
from gainnet.network.hardware import Hardware, profile, profiles
from gainnet.network.network import Network, Node
from gainnet.network.scenario import DEVICE, EDGE, cell, edge_names

__all__ = ["DEVICE", "EDGE", "Hardware", "Network", "Node", "Wire", "cell", "edge_names", "profile", "profiles"]
