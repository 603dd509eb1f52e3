"""What takes back a rejected batch is not posted either: the ERP never had what it would take back.

A rejected batch keeps its members. Once their source is corrected, booking reverses them; these reversals stay out of
every batch, and when all of a batch's lines are reversed, its exception is over and it keeps no period from closing.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
from sqlalchemy import select

from revenue_assets.domain import posting_state as state
from revenue_assets.store import audit, exceptions, manifest
from revenue_assets.store.approvals import REJECTED
from revenue_assets.store.clock import Clock
from revenue_assets.store.engine import Store
from revenue_assets.store.ledger import Journal, read_files
from revenue_assets.store.tables import posting_batches

B = posting_batches.c
NOTHING = "(select null::varchar as booked_line_id, null::varchar as batch_key limit 0)"


def keys(store: Store) -> dict[str, str]:
    """Key -> cut of every rejected batch."""
    query = select(B.batch_key, B.cut_id).where(B.status == state.DEAD, B.last_error_class == REJECTED)
    with store.read() as connection:
        found: dict[str, str] = dict(connection.execute(query).all())
    return found


def taken_back(lines: str, members: str, batch_keys: Sequence[str]) -> str:
    """SQL: booked_line_id, batch_key of each reversal in `lines` whose original is in one of the batches."""
    if not batch_keys:
        return NOTHING
    listed = ", ".join(f"'{key}'" for key in sorted(batch_keys))  # hex digits
    return f"""(
        select r.booked_line_id, m.batch_key
        from {lines} as r
        inner join {members} as m
            on substr(sha256(concat_ws('|', r.entry_key, r.entry_hash, 1, r.generation, r.line_no)), 1, 32)
            = m.booked_line_id
        where r.sign = -1 and m.batch_key in ({listed})
    )"""


def hold(store: Store, journal: Journal, connection: duckdb.DuckDBPyConnection, table: str, clock: Clock) -> int:
    """Takes the reversals of rejected lines out of `table` (booked lines that are in no batch), and ends the exception
    of each batch that is reversed whole; returns how many lines those are."""
    found = keys(store)
    if not found:
        return 0
    with store.read() as reader:
        cuts = {name: stamp for name, stamp in manifest.cuts(reader).items() if name in set(found.values())}
    journal.check_files(journal.members, cuts)
    members = read_files(journal.members, cuts)
    connection.execute(f"create or replace temp table taken_back as from {taken_back(table, members, list(found))}")
    connection.execute(f"delete from {table} where booked_line_id in (select booked_line_id from taken_back)")
    whole = connection.execute(
        f"""
        with wanted as (select batch_key, count(*) as n from {members} group by batch_key)
        select t.batch_key from taken_back as t inner join wanted as w using (batch_key)
        group by t.batch_key, w.n having count(*) = w.n order by t.batch_key
        """
    ).fetchall()
    now = clock.now()
    with store.write() as writer:
        log = exceptions.clear_batches(writer, [key for (key,) in whole], now)
        audit.record(writer, now, log)
    return connection.execute("select count(*) from taken_back").fetchall()[0][0]
