"""The set-based half of `diff`: temporary tables over the attached builds `old` and `new`."""

from __future__ import annotations

import datetime as dt

_COLUMNS = "entry_key, entry_hash, entity_id, period, account_role, currency, amount_tc, amount_fc"


def entries(booked: str, as_of: dt.date, erp_before: list[str], erp_after: list[str]) -> list[str]:
    """Temporary tables `standing` (what is booked, else what would be under the old rules), `wanted` (the new rules)
    and `differing`. `booked`: SQL to read the journal of record; `erp_*`: entities whose schedules the ERP owns."""

    def lines(build: str, erp: list[str]) -> str:
        return f"""
select {_COLUMNS} from {build}.subledger.journal_lines
where (amount_fc <> 0 or amount_tc <> 0) and accounting_date <= date '{as_of.isoformat()}'
and not ({_recognised(erp)})
"""

    return [
        f"create temp table old_lines as {lines('old', erp_before)}",
        f"create temp table wanted as {lines('new', erp_after)}",
        f"""
-- grain: booked line of an entry content that stands in the books (booked, not reversed), in its posting period
create temp table booked_lines as
with live as (
    select entry_key, entry_hash, max(generation) as generation from {booked}
    group by all having sum(sign) // count(distinct line_no) = 1
)
select
    b.entry_key, b.entry_hash, b.entity_id, b.posting_period as period, b.account_role, b.currency,
    b.amount_tc, b.amount_fc, {_recognised(erp_after)} as is_left_alone
from {booked} as b
inner join live on b.entry_key = live.entry_key and b.entry_hash = live.entry_hash and b.generation = live.generation
where b.sign = 1 and b.accounting_date <= date '{as_of.isoformat()}'
""",
        """
-- grain: entry_key whose content differs between the two builds. Booked recognition of an entity whose schedules the
-- ERP takes over stays as it is.
create temp table differing as
select
    coalesce(o.entry_key, n.entry_key) as entry_key,
    case when o.entry_key is null then 'added' when n.entry_key is null then 'removed' else 'changed' end as kind,
    b.entry_key is not null as booked
from (select distinct entry_key, entry_hash from old_lines) as o
full outer join (select distinct entry_key, entry_hash from wanted) as n on o.entry_key = n.entry_key
left join (select entry_key, bool_or(is_left_alone) as is_left_alone from booked_lines group by entry_key) as b
    on coalesce(o.entry_key, n.entry_key) = b.entry_key
where o.entry_hash is distinct from n.entry_hash and not coalesce(b.is_left_alone, false)
""",
        f"""
create temp table standing as
select {_COLUMNS} from booked_lines
union all
select {_COLUMNS} from old_lines anti join booked_lines using (entry_key)
""",
    ]


def _recognised(entities: list[str]) -> str:
    named = ", ".join("'" + e.replace("'", "''") + "'" for e in entities) or "''"
    return f"event_type = 'revenue.recognised' and entity_id in ({named})"


PERIODS = """
select entity_id, period from standing union select entity_id, period from wanted
order by all
"""
# grain: line that adoption would add, in the period that it would post to.
CORRECTIONS = """
create temp table corrections as
select d.kind, d.booked, s.entry_key, s.entity_id, m.posting_period as period, s.account_role, s.currency,
    -s.amount_tc as amount_tc, -s.amount_fc as amount_fc
from standing as s
inner join differing as d using (entry_key)
inner join period_map as m on s.entity_id = m.entity_id and s.period = m.period
union all
select d.kind, d.booked, w.entry_key, w.entity_id, m.posting_period, w.account_role, w.currency, w.amount_tc,
    w.amount_fc
from wanted as w
inner join differing as d using (entry_key)
inner join period_map as m on w.entity_id = m.entity_id and w.period = m.period
"""
# An entry that moves counts once, in the later of its periods.
ENTRIES = """
select entity_id as entity, period, kind, booked, count(*)::bigint as entries
from (select entry_key, entity_id, max(period) as period, any_value(kind) as kind, bool_or(booked) as booked
    from corrections group by entry_key, entity_id)
group by all
"""
ACCOUNTS = """
with stands as (
    select s.entity_id, if(b.entry_key is null, m.posting_period, s.period) as period, s.account_role, s.currency,
        sum(s.amount_tc) as tc, sum(s.amount_fc) as fc
    from standing as s
    inner join period_map as m on s.entity_id = m.entity_id and s.period = m.period
    left join (select distinct entry_key from booked_lines) as b on s.entry_key = b.entry_key
    group by all
),
moved as (
    select entity_id, period, account_role, currency, sum(amount_tc) as tc, sum(amount_fc) as fc
    from corrections group by all having sum(amount_tc) <> 0 or sum(amount_fc) <> 0
)
select
    m.entity_id as entity, m.period, m.account_role, m.currency,
    coalesce(s.tc, 0)::bigint as old_tc, (coalesce(s.tc, 0) + m.tc)::bigint as new_tc, m.tc::bigint as difference_tc,
    coalesce(s.fc, 0)::bigint as old_fc, (coalesce(s.fc, 0) + m.fc)::bigint as new_fc, m.fc::bigint as difference_fc
from moved as m
left join stands as s using (entity_id, period, account_role, currency)
"""
REFUSED = """
select entity_id as entity, class, sum(o)::bigint as old, sum(n)::bigint as new
from (
    select entity_id, class, 1 as o, 0 as n from old.subledger.posting_exceptions
    union all select entity_id, class, 0, 1 from new.subledger.posting_exceptions
)
group by all having sum(o) <> sum(n) order by all
"""
