"""Recognise, read, verify and show archives that this program did not write, and make bundles of them."""
