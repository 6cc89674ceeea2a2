"""Reproducibility archive and toolkit for HSTU recommenders."""

__version__ = "0.1.0"
