"""Offer small tools that know nothing of recipes, models or bundles."""
