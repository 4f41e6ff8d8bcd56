"""Who trains what in a round, and how the edge makes one state of it."""
