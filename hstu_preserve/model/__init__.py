"""Model components and the recommender composed of them."""
