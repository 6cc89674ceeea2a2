"""Read other people's lists of digests, and find the entry that is about a file."""
