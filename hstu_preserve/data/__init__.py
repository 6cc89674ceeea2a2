"""Prepared data: stores, and the batches that are read from them."""
