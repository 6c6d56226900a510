"""Training of dual encoders: losses, data, schedule, loop, checkpoints."""
