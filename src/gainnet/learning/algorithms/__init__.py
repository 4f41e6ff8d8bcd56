"""The rounds: who trains what, and how the edge averages the updates.

An algorithm maps a state to the next one. What it sends goes through `exchange`; where it runs is decided in `engines`.
"""
