"""Every rule set that figures were computed with, by content hash: a journal's hash can always be turned into
its rules."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from sqlalchemy import insert, select

from revenue_assets.store import audit
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store, StoreError
from revenue_assets.store.tables import policy_versions


def put(
    store: Store, content: str, *, company: str, author: str, approver: str | None = None, clock: Clock = SYSTEM_CLOCK
) -> str:
    """Keeps `content` (canonical JSON) under its sha256 and returns the hash; a second time changes nothing."""
    digest = hashlib.sha256(content.encode()).hexdigest()
    with store.write() as connection:
        known = connection.scalar(select(policy_versions.c.content).where(policy_versions.c.content_hash == digest))
        if known is not None:
            return digest
        row = {"content_hash": digest, "company": company, "content": content, "author": author, "approver": approver}
        connection.execute(insert(policy_versions).values(**row, stored_at=clock.now()))
        audit.record(connection, clock.now(), [audit.Entry(author, "policy", f"policy:{digest}", None, row)])
    return digest


def get(store: Store, content_hash: str) -> str:
    """The rule text of a hash, or of its first characters (8 or more); StoreError if none or several fit."""
    column = policy_versions.c.content_hash
    is_short = 8 <= len(content_hash) < 64 and content_hash.isalnum()
    wanted = column.like(f"{content_hash}%") if is_short else column == content_hash
    with store.read() as connection:
        texts: list[str] = list(connection.scalars(select(policy_versions.c.content).where(wanted)))
    if len(texts) != 1:
        found = "no rules are" if not texts else f"{len(texts)} versions are"
        raise StoreError(f"{found} stored under {content_hash}.")
    return texts[0]


def missing(store: Store, content_hashes: Iterable[str | None]) -> list[str]:
    """Those of the hashes that no stored rule text has, in order; no hash at all counts as missing."""
    wanted = {name or "" for name in content_hashes}
    with store.read() as connection:
        return sorted(wanted - set(connection.scalars(select(policy_versions.c.content_hash))))


def all_versions(store: Store) -> list[dict[str, Any]]:
    """Every version without its text, oldest first."""
    columns = [c for c in policy_versions.c if c.name != "content"]
    with store.read() as connection:
        query = select(*columns).order_by(policy_versions.c.stored_at)
        return [dict(row._mapping) for row in connection.execute(query)]
