"""Make up data that may be shared, the same for a seed on every machine."""
