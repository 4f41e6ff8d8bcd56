"""Step-level continuous batching: a request joins at the next pass of a network and leaves when it is done."""

from gainnet.service.engine.engine import Engine
from gainnet.service.engine.engines import Engines
from gainnet.service.engine.request import BusyError, Request
from gainnet.service.engine.status import EngineStatus

__all__ = ["BusyError", "Engine", "EngineStatus", "Engines", "Request"]
