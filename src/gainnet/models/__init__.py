"""Generative models as parts."""
