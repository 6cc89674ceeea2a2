"""Text of what trainings cost, for a terminal or a pipe."""
