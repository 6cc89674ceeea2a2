"""Run the code that somebody else published with a bundle, as it is, and hold its numbers beside the recorded ones."""
