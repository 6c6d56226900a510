"""Many machines: what encoding on them costs, and a plan to a billion pictures."""
