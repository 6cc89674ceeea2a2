"""Encoders that read the last T events in a left-padded window, as the TensorFlow code of the field has them."""
