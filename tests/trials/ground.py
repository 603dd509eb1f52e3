"""What every trial stands on: a seed, a deadline, and scratch homes whose operational store is SQLite or PostgreSQL."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from store_kit import House

from demo.erp import environment, postgres
from revenue_assets.store.engine import Store, open_store

SHOWN = 20


@dataclass
class Outcome:
    """What one trial reached. `broken`: a sentence for each broken promise, empty if it held. `facts`: counts."""

    reached: int = 0
    broken: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def check(self, holds: bool, sentence: str) -> None:
        """Notes `sentence` as broken unless it holds."""
        if not holds:
            self.broken.append(sentence)

    def count(self, name: str, by: int = 1) -> None:
        self.facts[name] = self.facts.get(name, 0) + by


@dataclass(frozen=True)
class Server:
    """A PostgreSQL of the trials' own, or none: then the stores are SQLite files."""

    socket: Path | None = None

    @property
    def name(self) -> str:
        return "postgresql" if self.socket else "sqlite"

    def url(self, database: str) -> str:
        # psycopg2 wants the socket's folder as a parameter.
        return f"postgresql+psycopg2://{postgres.SUPERUSER}@/{database}?host={self.socket}"

    def create(self, database: str) -> str:
        """A new database at the current schema; its URL."""
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            if connection.scalar(text("select 1 from pg_database where datname = 'migrated'")) is None:
                connection.execute(text("create database migrated"))
                open_store(self.url("migrated")).close()
            connection.execute(text(f"create database {database} template migrated"))
        engine.dispose()
        return self.url(database)


SQLITE = Server()


@contextmanager
def postgresql(folder: Path) -> Iterator[Server]:
    """A PostgreSQL in `folder`, from the binaries that the demo's ERP runs on (REVENUE_ERP_VENV)."""
    python = environment.ensure(Path(os.environ["REVENUE_ERP_VENV"]), print)
    binaries = postgres.binaries(python.parents[1])
    postgres.initialise(binaries, folder / "data", folder / "log")
    running = postgres.start(binaries, folder / "data", folder / "log", postgres.UNSAFE_AND_FAST)
    try:
        yield Server(running.socket)
    finally:
        running.stop()


@dataclass
class Ground:
    """Where one trial runs. Paths below `root` are its own; `dice` are of its seed."""

    root: Path
    seed: int = 0
    seconds: float = float("inf")
    server: Server = SQLITE

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self._began = time.monotonic()
        self._numbers = itertools.count(1)

    @property
    def is_over(self) -> bool:
        """The time given to the trial has passed: it ends after the step under way."""
        return time.monotonic() - self._began > self.seconds

    def house(self) -> House:
        """A new scratch home."""
        number = next(self._numbers)
        house = House.build(self.root / f"house-{number}")
        if self.server.socket is not None:
            house.store.close()
            house.store = open_store(self.server.create(f"{self.root.name.replace('-', '_').lower()}_{number}"))
        return house

    def again(self, store: Store, **more: Any) -> Store:
        """Another process's view of the store: connections of its own."""
        url = store.engine.url.render_as_string(hide_password=False)
        return open_store(url, **more)
