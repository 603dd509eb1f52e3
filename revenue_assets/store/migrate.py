"""Brings an operational store to the current schema with the packaged Alembic migrations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from revenue_assets.store.engine import StoreError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0009"
_MIGRATIONS = Path(__file__).parent / "migrations"
# Any number; PostgreSQL serialises two upgrades that start together on it.
_ADVISORY_LOCK = 7_205_114_021


def upgrade(engine: Engine) -> None:
    """Runs the missing migrations in one transaction; does nothing (and imports no Alembic) at the current version.

    Raises StoreError, and changes nothing, if a newer version of the platform has opened the store. Two processes may
    start together: the second waits for the first one's transaction and then finds nothing to do.
    """
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection = connection.execution_options(revenue_begin="deferred")
        if _version(connection) == HEAD:
            return
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
        version = _version(connection)
        if version is not None and version not in known:
            raise StoreError(
                f"the operational store has schema {version}, and this version of the platform knows it up to {HEAD}: "
                "a newer version has opened it. Nothing was changed. Install that version again, or restore the backup "
                "that was taken before the upgrade (docs/operations.md, Upgrade)."
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def alembic_config() -> Config:
    """Alembic's configuration of the packaged migrations; `attributes["connection"]` is the caller's to set."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def _version(connection: Connection) -> str | None:
    """Revision of the schema; None for a store that has none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.scalar(text("select version_num from alembic_version"))
