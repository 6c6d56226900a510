"""Writing to a collection on a PostgreSQL server: the catalogue's rules run on a copy here, and its rows go there."""
