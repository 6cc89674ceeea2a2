"""The fast path of an evaluation: users in order of length, ranks by counting."""
