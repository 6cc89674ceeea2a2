"""Writes the catalog as a folder of pages that any web server can serve."""
