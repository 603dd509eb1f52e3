"""Booked lines that are in no live batch: each with the reason, its owner and a sentence, for people and for SQL.

The snapshot `state/unposted_lines.parquet` is rewritten by every cut; a reader takes only those of its lines that are
members of no batch. What a person must act on is an exception too.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from revenue_assets.domain.posting_policy import DEFAULT_OWNER
from revenue_assets.store import leases
from revenue_assets.store.clock import SYSTEM_CLOCK, Clock
from revenue_assets.store.engine import Store
from revenue_assets.store.exceptions import Item, owner_of

FILE = "unposted_lines.parquet"
COLUMNS = (
    "booked_line_id", "entity_id", "period", "event_class", "currency", "amount_fc", "waits", "owner_team",
    "explanation",
)  # fmt: skip
_SENTENCES = """
case s.waits
    when 'off' then 'Not posted by policy: posting_mode is off.'
    when 'shadow' then 'Shadow: summarised and compared with the ERP, never sent.'
    when 'old_process' then 'Before ' || s.live_from || ', from when we post: the old process owns it.'
    when 'cut_over' then 'Its class was not live before; posting.yaml must say from which period it is (live_from).'
    when 'deferred' then 'Deferred by policy ' || coalesce('until ' || s.release_on, 'until it is released') || ': '
        || coalesce(s.reason, '') || '.'
    when 'scheduled' then 'Waits for the end of its ' || if(s.summary_at = 'day_end', 'day.', 'period.')
    when 'near_real_time' then 'Waits for the next tick of near_real_time_sensor.'
    when 'closed_period' then 'Its period is hard closed; nothing is posted there.'
    else 'A mapping is missing.'
end || if(s.waits in ('off', 'shadow') and s.reason is not null, ' ' || s.reason || '.', '')
"""
# grain: one line of `waiting` that no pass of this cut took.
LINES = f"""
select
    w.booked_line_id, w.entity_id, w.posting_period as period, s.event_class, w.functional_currency as currency,
    w.amount_fc, coalesce(s.waits, 'mapping_missing') as waits,
    coalesce(if(s.waits = 'closed_period', $controller, s.owner), $owner) as owner_team, {_SENTENCES} as explanation
from waiting as w
inner join settled as s using (entry_id)
anti join taken_lines as t on w.booked_line_id = t.booked_line_id
order by w.booked_line_id
"""
ASK = """
select
    waits, entity_id, event_class, min(period) as period, currency, owner_team, any_value(explanation) as explanation,
    count(*) as line_count, sum(greatest(amount_fc, 0))::bigint as amount
from unposted where waits in ('cut_over', 'deferred', 'closed_period')
group by waits, entity_id, event_class, currency, owner_team order by all
"""
_NEXT = {
    "deferred": (
        "deferred_posting",
        "Release it: change its row in posting.yaml, or wait for its day. Its period cannot close before that.",
    ),
    "cut_over": (
        "cut_over_missing",
        'Set live_from in posting.yaml (quoted period, such as "2026-11"); the old process keeps what lies before it.',
    ),
    "closed_period": ("closed_period", "Set live_from to an open period, or reopen the closed one."),
}


def write(connection: duckdb.DuckDBPyConnection, state: Path) -> None:
    """Rewrites the snapshot from `waiting`, `settled` and `taken_lines` (temporary tables of the cut)."""
    connection.execute(
        f"create or replace temp table unposted as {LINES}",
        {"owner": DEFAULT_OWNER, "controller": owner_of("closed_period", None, {})},
    )
    beside = state / f".{FILE}.{os.getpid()}"
    quoted = str(beside).replace("'", "''")
    connection.execute(f"copy (select {', '.join(COLUMNS)} from unposted) to '{quoted}' (format parquet)")
    os.replace(beside, state / FILE)


def to_act_on(connection: duckdb.DuckDBPyConnection) -> list[Item]:
    """Exceptions about what waits for a person: deferred items, missing cut-overs, closed periods."""
    items = []
    for waits, entity, event_class, period, currency, owner, words, lines, amount in connection.execute(ASK).fetchall():
        category, next_action = _NEXT[waits]
        items.append(
            Item(
                category=category,
                reference=f"{entity}:{event_class}",
                owner_team=owner or owner_of(category, None, {}),
                entity_id=entity,
                period=period,
                currency=currency,
                amount=amount,
                blocks_close=True,
                severity="warning" if waits == "deferred" else "error",
                error_code=category,
                error_message=f"{words} {lines} lines of {event_class} wait.",
                next_action=next_action,
            )
        )
    return items


def reasons(state: Path) -> str:
    """SQL that reads booked_line_id and waits of the snapshot; nothing before the first cut."""
    file = state / FILE
    if not file.exists():
        return "(select null::varchar as booked_line_id, null::varchar as waits limit 0)"
    quoted = str(file).replace("'", "''")
    return f"(select booked_line_id, waits from read_parquet('{quoted}'))"


class Tick(NamedTuple):
    """Lines that wait for a near real time delivery; `run_key` names this very piece of work, as of outbox.ready."""

    lines: int
    run_key: str


def ticks(store: Store, state: Path, *, clock: Clock = SYSTEM_CLOCK, relaunch_seconds: float = 600.0) -> Tick | None:
    """What near_real_time_sensor should ask for now; None while nothing waits or the journal is being written."""
    now = clock.now()
    with store.read() as connection:
        if leases.JOURNAL in leases.live_names(connection, now):
            return None
        attempt = leases.fence_of(connection, leases.JOURNAL) + 1
    lines = sum(row["lines"] for row in summary(state) if row["waits"] == "near_real_time")
    slot = int((now - dt.datetime(1970, 1, 1)).total_seconds() // relaunch_seconds)  # noqa: DTZ001 (naive UTC)
    return Tick(lines, f"cut:{attempt}:{slot}") if lines else None


def summary(state: Path) -> list[dict[str, Any]]:
    """What waits by entity, event class and reason, for people; amounts are debits in minor units of `currency`."""
    file = state / FILE
    if not file.exists():
        return []
    query = """
        select entity_id, event_class, waits, currency, owner_team, min(period) as first_period,
            max(period) as last_period, count(*) as lines, sum(greatest(amount_fc, 0))::bigint as amount,
            any_value(explanation) as explanation
        from read_parquet(?) group by all order by all
    """
    with duckdb.connect() as connection:
        cursor = connection.execute(query, [str(file)])
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
