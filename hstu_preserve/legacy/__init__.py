"""Archives that this program did not write: recognised, read, compared, shown, made into bundles."""
