"""Alembic's entry: runs the migrations on the connection that ``database.migrate`` hands over.

Not meant for the alembic command line; developers make new versions with its Python interface.
"""

from alembic import context

from acquirer.ledger.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=False,
)
context.run_migrations()
