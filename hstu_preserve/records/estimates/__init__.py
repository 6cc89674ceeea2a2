"""What work is expected to cost: estimated, never measured whole."""
