"""The Hugging Face Hub: what is published there, and how it gets here unharmed."""
