"""One SQLite file: migrations and repositories."""
