"""Distributions of initial weights."""
