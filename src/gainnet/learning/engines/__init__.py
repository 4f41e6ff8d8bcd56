"""The same rounds in other processes: over TLS streams, and over Flower.

An engine changes where a step runs and no number of it. What may cross the network, and within which limits, is here.
"""
