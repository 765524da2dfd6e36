"""Alembic migrations of the books, run by ``database.migrate`` when a switch opens them."""
