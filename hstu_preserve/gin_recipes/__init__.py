"""Recipes as authors write them: gin text in, a `Recipe` with claims out, and back."""
