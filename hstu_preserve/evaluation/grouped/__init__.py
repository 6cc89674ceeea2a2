"""The fast path of an evaluation: users in order of length, ranks by counting; see docs/explanation/evaluation-paths.md."""
