"""Read files of events of any origin, a line each: `user item`, reviews of Amazon, reviews of Steam."""
