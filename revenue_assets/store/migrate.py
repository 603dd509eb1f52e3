"""Brings an operational store to the current schema with the packaged Alembic migrations."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, inspect, text

HEAD = "0006"
_MIGRATIONS = Path(__file__).parent / "migrations"
# Any number; PostgreSQL serialises two upgrades that start together on it.
_ADVISORY_LOCK = 7_205_114_021


def upgrade(engine: Engine) -> None:
    """Runs the missing migrations in one transaction; does nothing (and imports no Alembic) at the current version.

    Two processes may start together: the second waits for the first one's transaction and then finds nothing to do.
    """
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection = connection.execution_options(revenue_begin="deferred")
        current = inspect(connection).has_table("alembic_version")
        if current and connection.scalar(text("select version_num from alembic_version")) == HEAD:
            return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
