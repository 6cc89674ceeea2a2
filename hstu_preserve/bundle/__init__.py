"""Bundles on disk: format, packing, unpacking, verification."""
