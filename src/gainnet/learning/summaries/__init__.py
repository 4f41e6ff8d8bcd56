"""Conclusions of medical trials, written by an edge-end model and a cloud, and how they are scored."""
