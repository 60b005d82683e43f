"""The only place with SQL: what landed, and what became of an upload."""
