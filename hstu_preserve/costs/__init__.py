"""Estimates what a training costs from its recipe, before any step is taken. Pure."""
