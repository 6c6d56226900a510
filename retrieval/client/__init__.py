"""A collection that a server answers for, as programs use one that they have opened themselves."""
