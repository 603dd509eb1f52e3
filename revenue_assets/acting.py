"""What commands over the operational store have around them: who acts, and what is brought up to date afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from revenue_assets.settings import Settings, actor
from revenue_assets.store.engine import Store


@dataclass(frozen=True)
class Acting:
    """The settings of this process, the open store, and the name under which the log keeps what is done."""

    settings: Settings
    store: Store
    actor: str


@contextlib.contextmanager
def reading() -> Iterator[Acting]:
    """The store for a command that only looks; errors that are sentences end it with exit code 1."""
    from revenue_assets.cli import prepared, sentences
    from revenue_assets.store.engine import open_store

    settings = prepared()
    with sentences(), contextlib.closing(open_store(settings.store_url, actor=actor())) as store:
        yield Acting(settings, store, actor())


@contextlib.contextmanager
def acting() -> Iterator[Acting]:
    """The store for a command that changes it; afterwards the snapshots that SQL reads are written and the audit log
    is anchored."""
    from revenue_assets.store import anchor
    from revenue_assets.store.export import export_state

    with reading() as session:
        yield session
        export_state(session.store, session.settings.state)
        anchor.write(session.store, session.settings.audit_anchor, private_key=session.settings.audit_key())
