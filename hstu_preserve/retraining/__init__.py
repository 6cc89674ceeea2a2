"""Retrains a bundle's recipe with other seeds, or takes such runs, under a plan that was fixed before."""
