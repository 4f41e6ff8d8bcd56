"""The same rounds in other processes: over streams of our own, and over Flower."""
