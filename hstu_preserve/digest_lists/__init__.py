"""What other people's lists of digests say of a file: parsed, and matched with the file."""
