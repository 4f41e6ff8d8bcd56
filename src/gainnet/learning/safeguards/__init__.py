"""Robust rules, differential privacy, secure aggregation, attacks to measure them by, and a signed record.

Each can be added to an algorithm without a change to it. TLS and the keys of connections are in `wire`.
"""
