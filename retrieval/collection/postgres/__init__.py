"""Collections on a PostgreSQL server with pgvector: schema, connections, vectors, generations (docs/postgres.md)."""
