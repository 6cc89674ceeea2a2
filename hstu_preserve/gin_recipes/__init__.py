"""Turn the gin text that authors write into a `Recipe` with claims, and back."""
