"""Computes the golden cases with the present API: one function per family, from a plain dictionary to plain values."""
