"""Model and store to ranks, ranks to metrics."""
