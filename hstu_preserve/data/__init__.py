"""Prepared data: sources, the store, batches."""
