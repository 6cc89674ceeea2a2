"""Gin text to recipes, nothing executed."""
