"""TensorBoard event files, written and read."""
