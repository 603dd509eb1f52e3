"""How far each source object has been landed. A cursor is the source's own JSON; nothing here reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select

from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store
from revenue_assets.store.tables import source_cursors


class StoredCursors:
    """The landing room's cursor store. Losing a cursor costs a re-read, never a record."""

    def __init__(self, store: Store, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._store = store
        self._clock = clock

    def get(self, source: str, object_name: str) -> dict[str, Any] | None:
        """The cursor last set, or None before the first landing."""
        query = select(source_cursors.c.position).where(
            source_cursors.c.source == source, source_cursors.c.object == object_name
        )
        with self._store.read() as connection:
            text = connection.scalar(query)
        return None if text is None else json.loads(text)

    def set(self, source: str, object_name: str, cursor: Mapping[str, Any] | None) -> None:
        """Replaces the cursor; call it only after everything before it is on disk."""
        mine = (source_cursors.c.source == source) & (source_cursors.c.object == object_name)
        with self._store.write() as connection:
            connection.execute(delete(source_cursors).where(mine))
            if cursor is not None:
                connection.execute(
                    insert(source_cursors).values(
                        source=source, object=object_name, position=json.dumps(cursor), updated_at=self._clock.now()
                    )
                )

    def all(self) -> list[dict[str, Any]]:
        """Every cursor as {source, object, cursor, updated_at}, for `revenue status`."""
        query = select(source_cursors).order_by(source_cursors.c.source, source_cursors.c.object)
        with self._store.read() as connection:
            return [
                {"source": r.source, "object": r.object, "cursor": json.loads(r.position), "updated_at": r.updated_at}
                for r in connection.execute(query)
            ]
