"""Circuit breaker per ERP company: after a few failed calls in a row nothing is sent for a while.

Kept in the store, so that a sensor that starts a new run every minute does not hammer an ERP that is down.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from revenue_assets.store.tables import erp_circuits


class Circuit(NamedTuple):
    """`failures` in a row; sending waits until `paused_until` (None: it does not)."""

    failures: int = 0
    paused_until: dt.datetime | None = None
    reason: str | None = None

    def is_paused(self, now: dt.datetime) -> bool:
        return self.paused_until is not None and self.paused_until > now


def of(connection: Connection, company: str) -> Circuit:
    row = connection.execute(select(erp_circuits).where(erp_circuits.c.erp_company == company)).one_or_none()
    return Circuit() if row is None else Circuit(row.failures, row.paused_until, row.reason)


def put(connection: Connection, company: str, circuit: Circuit) -> None:
    """Replaces the company's circuit; a healthy one leaves no row."""
    mine = erp_circuits.c.erp_company == company
    if circuit == Circuit():
        connection.execute(delete(erp_circuits).where(mine))
    elif connection.execute(update(erp_circuits).where(mine).values(**circuit._asdict())).rowcount == 0:
        connection.execute(insert(erp_circuits).values(erp_company=company, **circuit._asdict()))
