"""Where and how arithmetic is done: device, determinism, memory, processes."""
