"""The database: tables, migrations, the one writer, statements, reads."""
