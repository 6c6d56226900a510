"""Which items a condition on their fields lets through: parsed, compiled to bound parameters, kept by generation."""
