"""Prepare bundles for the Hub: verify them, write their card, and refuse data that may not be redistributed."""
