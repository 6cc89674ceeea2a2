"""What goes to the Hub with a bundle, and what may not travel."""
