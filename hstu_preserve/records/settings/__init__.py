"""What a recipe says of its encoder and of the components beside it."""
