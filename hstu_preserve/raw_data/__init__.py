"""Raw downloads of data sets, and the stores that are made of them."""
