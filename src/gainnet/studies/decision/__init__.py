"""Study decision."""
