"""Training of the two-tower model: losses, data, schedule, loop, checkpoints."""
