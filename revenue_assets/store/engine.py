"""Engine and transactions of the operational store; nothing about its content."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url

BUSY_TIMEOUT_SECONDS = 60.0


class StoreError(RuntimeError):
    """The store refused something; the message is a sentence."""


@dataclass(frozen=True)
class Store:
    """One operational store. `write()` and `read()` are the only ways to a connection.

    `actor`: on whose behalf it is open; who cuts batches is their preparer.
    """

    engine: Engine
    actor: str = field(default="system", kw_only=True)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed at the end and rolled back on any error.

        On SQLite it takes the write lock at once (BEGIN IMMEDIATE): a deferred transaction that wants to write later
        fails with "database is locked" instead of waiting.
        """
        with self.engine.begin() as connection:
            connection.info["actor"] = self.actor
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent read that takes no write lock (on SQLite a deferred transaction, a WAL snapshot)."""
        with self.engine.connect() as connection:
            yield connection.execution_options(revenue_begin="deferred")

    def close(self) -> None:
        self.engine.dispose()


def create_store_engine(url: str) -> Engine:
    """An engine for `sqlite:///<path>` or `postgresql+psycopg2://...`; makes the SQLite file's folder."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise StoreError("the operational store must be a file or a server; an in-memory store forgets.")
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False})
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
        return engine
    if parsed.get_backend_name() == "postgresql":
        return create_engine(parsed, pool_pre_ping=True)
    raise StoreError(f"REVENUE_STORE_URL is for {parsed.get_backend_name()}; use sqlite or postgresql+psycopg2.")


def _sqlite_connect(connection: Any, _record: Any) -> None:
    """Durable settings: WAL survives a killed writer, FULL survives power loss, keys are enforced."""
    connection.isolation_level = None  # the driver must not open transactions behind our back
    for pragma in ("journal_mode = wal", "synchronous = full", "foreign_keys = on"):
        connection.execute(f"pragma {pragma}")


def _sqlite_begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get("revenue_begin", "immediate")
    connection.exec_driver_sql(f"begin {mode}")


def open_store(url: str, *, actor: str = "system") -> Store:
    """Opens the store at `url` on behalf of `actor` and brings its schema to the current version."""
    from revenue_assets.store.migrate import upgrade

    engine = create_store_engine(url)
    upgrade(engine)
    return Store(engine, actor=actor)
