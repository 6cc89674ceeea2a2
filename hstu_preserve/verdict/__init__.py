"""Evidence to verdicts; pure."""
