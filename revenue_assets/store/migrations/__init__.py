"""Alembic environment of the operational store; run by `revenue_assets.store.migrate.upgrade`."""
