"""Small packages to begin with: something of one's own that runs at once, with a test of its contract."""

from gainnet.starters.package import KINDS, write_starter

__all__ = ["KINDS", "write_starter"]
