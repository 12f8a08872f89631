"""One SQLite file: migrations and repositories. sqlite-utils."""
