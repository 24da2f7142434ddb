"""The history of the tables, as Alembic scripts; only a process that migrates imports it."""
