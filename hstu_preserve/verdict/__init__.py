"""Evidence to verdicts; pure: re-runs are done elsewhere and handed in."""
