"""The same algorithms as a Flower app: in simulation on Ray, and between a SuperLink and SuperNodes."""
