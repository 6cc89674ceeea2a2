"""What a checkpoint file may hold, decided byte by byte before torch reads it."""
