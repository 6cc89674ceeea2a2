"""The training loop and what it needs to be deterministic and to continue."""
