"""Compare recipes over several seeds and over the same users."""
