"""Types, units, randomness, reports and errors that every package shares."""
