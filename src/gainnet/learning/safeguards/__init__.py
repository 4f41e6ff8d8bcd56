"""Robust rules, differential privacy, secure aggregation, attacks to measure them by, and a signed record."""
