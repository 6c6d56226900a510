"""Training runs and what they cost."""
