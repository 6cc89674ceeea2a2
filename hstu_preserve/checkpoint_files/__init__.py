"""Check a checkpoint file byte by byte before torch reads it."""
