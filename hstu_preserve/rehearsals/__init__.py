"""Takes a few steps of a recipe and writes nothing, to say what all of its steps cost."""
