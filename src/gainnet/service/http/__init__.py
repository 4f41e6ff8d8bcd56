"""The face of the edge to HTTP clients: OpenAI's pictures, diffusers' decoding, health, metrics, and the doors."""

from gainnet.service.http.application import application
from gainnet.service.http.doors import Doors, hosts_of

__all__ = ["Doors", "application", "hosts_of"]
