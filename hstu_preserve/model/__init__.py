"""Model components, each in its own module, and the recommender composed of them."""
