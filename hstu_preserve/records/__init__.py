"""Every record that is written to disk, and its schema."""
