"""Similarities of user and item that are learned, in place of the dot product."""
