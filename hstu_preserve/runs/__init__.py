"""One run directory, from its lock to its seal."""
