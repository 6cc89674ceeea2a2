"""The user after the last event alone, which is all that an evaluation asks of an encoder."""
