"""Which uncut lines are posted now, which wait, and why: the rows of posting.yaml laid over the booked entries.

Rules are resolved in Python for each distinct scope (a handful), and joined to the entries as a table (any number).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
from sqlalchemy import Connection, select

from revenue_assets.domain.calendars import MONTHS, Calendar
from revenue_assets.domain.config_posting import POSTING
from revenue_assets.domain.periods import HARD_CLOSED
from revenue_assets.domain.posting_policy import Setting, most_cautious, resolve
from revenue_assets.store.tables import periods, policy_versions, posting_batches

SHADOW = "shadow"
# Why a booked line is in no live batch, in the order in which it is asked. What is with another process (NOT_OURS)
# never keeps a period from closing.
NOT_OURS = frozenset({"off", "old_process", SHADOW})


@dataclass(frozen=True)
class PostingRules:
    """posting.yaml as the cut reads it, from the snapshot of the config; all empty where a company has none."""

    posting: tuple[Mapping[str, Any], ...] = ()
    items: tuple[Mapping[str, Any], ...] = ()
    customers: tuple[Mapping[str, Any], ...] = ()
    dimensions: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def read(cls, state: Path) -> PostingRules:
        file = state / "posting_policy.parquet"
        if not file.exists():
            return cls()
        rows = pq.read_table(file).to_pylist()
        return cls(**{name: tuple(json.loads(r["row"]) for r in rows if r["section"] == name) for name in POSTING})


@dataclass(frozen=True)
class Known:
    """What the store knows. `hard_closed`: (entity, period) into which nothing may be posted any more; `earlier`:
    `posting` rows of every version of the rules that has any; `shadowed`: (entity, event class) with shadow batches."""

    hard_closed: frozenset[tuple[str, str]]
    earlier: tuple[Sequence[Mapping[str, Any]], ...]
    shadowed: frozenset[tuple[str, str]]

    @classmethod
    def read(cls, connection: Connection) -> Known:
        p, b, text = periods.c, posting_batches.c, policy_versions.c.content
        closed = connection.execute(select(p.entity_id, p.period).where(p.status == HARD_CLOSED))
        shadowed = connection.execute(select(b.entity_id, b.event_class).where(b.mode == SHADOW).distinct())
        texts = connection.execute(select(text).where(text.like('%"posting"%')))
        versions = [json.loads(str(row[0])) for row in texts]
        return cls(
            frozenset((str(entity), str(period)) for entity, period in closed),
            tuple(rules["posting"] for rules in versions if isinstance(rules, dict) and rules.get("posting")),
            frozenset((str(entity), str(event_class)) for entity, event_class in shadowed),
        )

    def needs_cut_over(self, found: Setting, entity: str, event_class: str) -> bool:
        """Whether a class that is live was not always so, and nobody said from which period it is: all of its history
        would be posted a second time."""
        if found.posting_mode != "live" or found.live_from is not None:
            return False
        if (entity, event_class) in self.shadowed:
            return True
        return any(resolve(rows, entity, event_class, None, None).posting_mode != "live" for rows in self.earlier)


def settle(
    connection: duckdb.DuckDBPyConnection,
    rules: PostingRules,
    as_of: dt.date,
    own: Mapping[str, Calendar],
    known: Known,
    *,
    tick: bool,
) -> None:
    """Temporary table `settled` from `waiting`: one row per entry with its event class, setting, `waits` (None: posted
    now) and `is_due` (its delivery's time has come; of a shadow entry too)."""
    _settings(connection, rules.posting, known)
    _calendar(connection, as_of, own, known)
    connection.execute(SETTLED, {"as_of": as_of, "tick": tick})


def _settings(connection: duckdb.DuckDBPyConnection, rows: Sequence[Mapping[str, Any]], known: Known) -> None:
    """Temporary table `setting`: one row per distinct set of scopes that entries have."""
    connection.execute(ENTRY_SCOPES)
    connection.execute(SETTING)
    for entity, event_class, scopes in connection.execute(SCOPES).fetchall():
        pairs = [(scope["family"], scope["currency"]) for scope in json.loads(scopes)]
        found = most_cautious([resolve(rows, entity, event_class, *pair) for pair in pairs])
        row = (entity, event_class, scopes, *found, known.needs_cut_over(found, entity, event_class))
        connection.execute(f"insert into setting values ({', '.join(['?'] * len(row))})", row)


def _calendar(connection: duckdb.DuckDBPyConnection, as_of: dt.date, own: Mapping[str, Calendar], known: Known) -> None:
    connection.execute(
        "create or replace temp table period_state (entity_id varchar, posting_period varchar, is_over boolean, "
        "is_closed boolean)"
    )
    for entity, period in connection.execute("select distinct entity_id, posting_period from waiting").fetchall():
        is_over = own.get(entity, MONTHS).last_day(period) <= as_of
        row = [entity, period, is_over, (entity, period) in known.hard_closed]
        connection.execute("insert into period_state values (?, ?, ?, ?)", row)


# grain: one uncut entry with the (family, currency) pairs of its lines; lines without a family follow those with one.
ENTRY_SCOPES = """
create or replace temp table entry_scope as
with named as (select entry_id, bool_or(product_family is not null) as has_family from waiting group by entry_id)
select
    w.entry_id, any_value(w.entity_id) as entity_id, any_value(w.posting_period) as posting_period,
    min(w.event_type) as event_class, min(w.posting_date) as posting_date,
    to_json(list_sort(list(distinct {'family': w.product_family, 'currency': w.currency})
        filter (where w.product_family is not null or not n.has_family)))::varchar as scopes
from waiting as w
inner join named as n using (entry_id)
group by w.entry_id
"""
SCOPES = "select distinct entity_id, event_class, scopes from entry_scope"
SETTING = f"""
create or replace temp table setting (
    entity_id varchar, event_class varchar, scopes varchar,
    {", ".join(f"{name} varchar" for name in Setting._fields)}, needs_cut_over boolean
)
"""
SETTLED = """
create or replace temp table settled as
with timed as (
    select
        e.entry_id, e.event_class, p.is_closed,
        s.* exclude (entity_id, event_class, scopes) replace (
            if(s.posting_kind = 'detail' and e.posting_period < s.detail_from, 'summary', s.posting_kind)
                as posting_kind
        ),
        s.posting_kind = 'deferred' and coalesce(s.release_on::date > $as_of::date, true) as is_deferred,
        p.is_over or case s.delivery_mode
            when 'immediate' then true
            when 'near_real_time' then $tick::boolean
            else s.summary_at = 'day_end' and e.posting_date < $as_of::date
        end as has_come,
        coalesce(e.posting_period < s.live_from, false) as is_before_live
    from entry_scope as e
    inner join setting as s
        on e.entity_id = s.entity_id and e.event_class = s.event_class and e.scopes = s.scopes
    inner join period_state as p on e.entity_id = p.entity_id and e.posting_period = p.posting_period
)
select
    * exclude (is_deferred, has_come, is_before_live),
    has_come and not is_deferred as is_due,
    case
        when posting_mode = 'off' then 'off'
        when posting_mode = 'shadow' then 'shadow'
        when is_before_live then 'old_process'
        when needs_cut_over then 'cut_over'
        when is_deferred then 'deferred'
        when not has_come then delivery_mode
        when is_closed then 'closed_period'
    end as waits
from timed
"""
