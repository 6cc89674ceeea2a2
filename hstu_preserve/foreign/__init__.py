"""Evaluates and judges what others made: their archives, their weights, their code."""
