"""Runs migrations on the connection that `migrate.upgrade` hands over, inside its transaction."""

from alembic import context

from revenue_assets.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
