"""Training projects: how the models that the product ships were made."""
