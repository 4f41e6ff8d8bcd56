"""Nodes, the links between them, and what they compute with."""

from gainnet.network.hardware import Hardware, profile, profiles
from gainnet.network.network import Network, Node
from gainnet.network.scenario import DEVICE, EDGE, cell

__all__ = ["DEVICE", "EDGE", "Hardware", "Network", "Node", "cell", "profile", "profiles"]
