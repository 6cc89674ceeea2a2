"""Turn records into text that people read."""
