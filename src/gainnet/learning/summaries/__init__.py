"""Conclusions of medical trials, written by an edge-end model and a cloud, and how they are scored.

Prompts and invented trials are in `models/trials`; the study that compares the arms is in `studies`.
"""
