"""How a bundle is run again: with this program's code, or with the archive's."""
