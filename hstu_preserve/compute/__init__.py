"""The arithmetic's surroundings: device, determinism, memory, processes; `machine` and `processes` need no PyTorch."""
