"""A target becomes bytes: here, kept from before, or on the Hub; and who vouches for them."""
