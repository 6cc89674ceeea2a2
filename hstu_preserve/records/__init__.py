"""Define every record that is written to disk or printed with `--json`, and its schema."""
