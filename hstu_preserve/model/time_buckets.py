"""How upstream sorts time gaps into buckets: by the logarithm of the seconds."""

NUM_TIME_BUCKETS = 128
# Published checkpoints bucket time gaps by ln(seconds) / 0.301; 0.301 is log10(2).
TIME_BUCKET_WIDTH = 0.301
