"""One edge as several processes on several machines: replicas behind Ray Serve, each with an engine and a journal.

    client --> proxy of Ray Serve --> replica: engine, journal under a lease
                                      replica: engine, journal under a lease --adopts--> journal of one that is dead

The journals lie in one folder that all machines share.
"""

from gainnet.service.replicas.cluster import deploy, run_replicas
from gainnet.service.replicas.shelf import Shelf

__all__ = ["Shelf", "deploy", "run_replicas"]
