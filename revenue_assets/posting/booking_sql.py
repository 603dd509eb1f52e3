"""The set-based half of booking: temporary tables in one DuckDB connection. Order and transactions are in `booking`."""

from __future__ import annotations

import datetime as dt

from revenue_assets.store.ledger import BOOKED_COLUMNS, JOURNAL_LINE_COLUMNS

_LINE_NAMES = ", ".join(JOURNAL_LINE_COLUMNS)
_LINE_CASTS = ", ".join(f"{name}::{kind} as {name}" for name, kind in JOURNAL_LINE_COLUMNS.items())
# Content that a reversal copies with the sign turned.
_REVERSED = ", ".join(f"-l.{n} as {n}" if n in ("amount_tc", "amount_fc") else f"l.{n}" for n in JOURNAL_LINE_COLUMNS)
_SHOULD = ", ".join(f"s.{name}" for name in JOURNAL_LINE_COLUMNS)


def is_left_to_erp(policy_file: str) -> str:
    """SQL condition on a journal line: recognition over time of an entity whose schedules the ERP owns
    (`schedules_owner: erp`). Such lines are computed and compared, never booked; what was booked before stays."""
    quoted = policy_file.replace("'", "''")
    return f"""event_type = 'revenue.recognised' and entity_id in (
        select entity_id from read_parquet('{quoted}') where key = 'schedules_owner' and value = 'erp'
    )"""


def difference(booked: str, as_of: dt.date, was_prior: str, policy_file: str) -> list[str]:
    """Temporary tables `erp_scheduled`, `should`, `live` and `candidate` from the subledger and the booked files
    (`booked`: SQL to read them)."""
    left = is_left_to_erp(policy_file)
    dated = f"(amount_fc <> 0 or amount_tc <> 0) and accounting_date <= date '{as_of.isoformat()}'"
    return [
        f"""
-- grain: recognition entry that the ERP's own schedules recognise
create or replace temp table erp_scheduled as
select distinct entry_key from subledger.journal_lines where {dated} and {left}
""",
        f"""
-- grain: one line that should exist; a line of nothing is not a posting
create or replace temp table should as
select {_LINE_CASTS}, {was_prior} as was_prior
from subledger.journal_lines
where {dated} and not ({left})
""",
        f"""
-- grain: one content (entry_key, entry_hash) ever booked; net 1 = stands in the books, 0 = reversed
create or replace temp table live as
select
    entry_key, entry_hash, any_value(entity_id) as entity_id, any_value(accounting_date) as accounting_date,
    sum(sign) // count(distinct line_no) as net,
    max(generation)::integer as generation
from {booked}
where not ({left})
group by entry_key, entry_hash
""",
        "create or replace temp table wanted as select distinct entry_key, entry_hash from should",
        f"""
-- grain: one line to be booked, before its posting period is known. base_period is where it belongs
create or replace temp table candidate as
with to_reverse as (
    select live.entry_key, live.entry_hash, live.generation
    from live
    anti join wanted using (entry_key, entry_hash)
    where live.net = 1 and live.accounting_date <= date '{as_of.isoformat()}'
),
to_book as (
    select wanted.entry_key, wanted.entry_hash, coalesce(live.generation, 0) + 1 as generation
    from wanted
    left join live using (entry_key, entry_hash)
    where coalesce(live.net, 0) = 0
)
select
    -1 as sign, l.generation, l.booking_id as reverses_booking_id, l.posting_period as base_period,
        l.posting_date as base_date,
    l.prior_period as was_prior,
    {_REVERSED}
from {booked} as l
inner join to_reverse as r on l.entry_key = r.entry_key and l.entry_hash = r.entry_hash and l.generation = r.generation
where l.sign = 1
union all by name
select
    1 as sign, b.generation, null::varchar as reverses_booking_id, s.period as base_period,
        s.accounting_date as base_date,
    s.was_prior,
    {_SHOULD}
from should as s
inner join to_book as b on s.entry_key = b.entry_key and s.entry_hash = b.entry_hash
""",
    ]


LEFT_TO_ERP = "select count(*) from erp_scheduled"
HAS_PRIOR_PERIOD = """
select count(*) from information_schema.columns
where table_schema = 'subledger' and table_name = 'journal_lines' and column_name = 'prior_period'
"""
VANISHED_ENTITIES = """
select distinct entity_id from live where net = 1
and entity_id in (select entity_id from candidate where sign = -1)
and entity_id not in (select entity_id from should) order by 1
"""
PERIOD_RANGE = """
select entity_id, min(period), max(period)
from (select entity_id, period from should union select entity_id, base_period from candidate)
group by entity_id order by entity_id
"""
BASE_PERIODS = "select distinct entity_id, base_period from candidate order by all"
PERIOD_MAP = """
create or replace temp table period_map (entity_id varchar, base_period varchar, posting_period varchar,
    redated_to date)
"""


def decide(policy_file: str) -> list[str]:
    """Temporary tables `placed` (candidate with its posting period), `held` (entries that must wait) and
    `chosen` (the rest)."""
    quoted = policy_file.replace("'", "''")
    return [
        """
create or replace temp table placed as
select c.*, m.posting_period, coalesce(m.redated_to, c.base_date) as posting_date,
    m.redated_to is not null as is_redated
from candidate as c
inner join period_map as m using (entity_id, base_period)
""",
        f"""
-- grain: entity; what policy says about closed periods (POLICY section 4)
create or replace temp table closed_policy as
select
    entity_id,
    max(value) filter (where key = 'closed_period_policy') as closed_period_policy,
    max(try_cast(value as bigint)) filter (where key = 'prior_period_materiality') as materiality
from read_parquet('{quoted}')
where product_family is null and currency is null
group by entity_id
""",
        """
-- grain: entry_key that is not booked now, with the first reason. All of an entry's changes wait together: a reversal
-- without its replacement would empty the books.
create or replace temp table held as
with unbalanced as (
    select entry_key from (
        select entry_key, entry_hash, currency, sum(amount_tc) as tc, count(*) as n, count(distinct line_no) as numbers
        from candidate where sign = 1 group by entry_key, entry_hash, currency
    ) where tc <> 0 or n <> numbers
    union
    select entry_key from (select entry_key, entry_hash, sum(amount_fc) as fc from candidate where sign = 1
        group by all) where fc <> 0
),
gross as (
    select entity_id, document_id, sign, sum(greatest(amount_fc, 0)) as amount
    from placed where is_redated group by all
),
late as (
    select distinct p.entry_key, coalesce(k.closed_period_policy, 'first_open') = 'reject' as rejected,
        g.amount > k.materiality as material
    from placed as p
    left join closed_policy as k using (entity_id)
    inner join gross as g on p.entity_id = g.entity_id and p.sign = g.sign and p.document_id is not distinct
        from g.document_id
    where p.is_redated
),
reasons as (
    select entry_key, 1 as rank, 'unbalanced_entry' as category from unbalanced
    union all
    select entry_key, 2, 'closed_period' from late where rejected
    union all
    select entry_key, 3, 'closed_period_material' from late anti join approved using (entry_key) where material
)
select entry_key, arg_min(category, rank) as category from reasons group by entry_key
""",
        """
-- grain: one line that is booked now
create or replace temp table chosen as
select
    placed.*,
    substr(sha256(concat_ws('|', entry_key, entry_hash, sign, generation, line_no)), 1, 32) as booked_line_id
from placed
anti join held using (entry_key)
""",
    ]


HELD = """
select
    h.entry_key, h.category, any_value(p.entity_id) as entity_id, min(p.period) as period,
    any_value(p.functional_currency) as functional_currency,
    coalesce(sum(greatest(p.amount_fc, 0)) filter (where p.sign = 1), sum(greatest(p.amount_fc, 0)))::bigint as amount,
    any_value(p.correlation_id) as correlation_id, any_value(p.event_key) as event_key,
    any_value(p.event_type) as event_type, any_value(p.document_id) as document_id
from held as h inner join placed as p using (entry_key)
group by h.entry_key, h.category order by h.entry_key
"""
# Content-derived: the same difference booked again after a crash gets the same name.
BOOKING_ID = "select 'b' || substr(sha256(string_agg(booked_line_id, ',' order by booked_line_id)), 1, 31) from chosen"


def final(booking_id: str, booked_at: dt.datetime) -> str:
    """Temporary table `final`: the rows of the file, all columns of the journal of record."""
    computed = {
        "booking_id": f"'{booking_id}'",
        "booked_at": f"timestamp '{booked_at.isoformat(sep=' ')}'",
        "prior_period": "posting_period <> period or coalesce(was_prior, false)",
    }
    columns = ", ".join(f"({computed.get(n, n)})::{kind} as {n}" for n, kind in BOOKED_COLUMNS.items())
    return f"create or replace temp table final as select {columns} from chosen"


ORDERED = "select * from final order by entry_key, entry_hash, sign, line_no"
CONTROL_TOTALS = """
select
    entity_id, currency, count(*)::bigint as rows,
    sum(greatest(amount_tc, 0))::bigint as debit_tc, -sum(least(amount_tc, 0))::bigint as credit_tc,
    sum(greatest(amount_fc, 0))::bigint as debit_fc, -sum(least(amount_fc, 0))::bigint as credit_fc
from final group by entity_id, currency order by entity_id, currency
"""
PERIOD_TOTALS = """
select
    entity_id, book, posting_period, count(*)::bigint,
    sum(greatest(amount_fc, 0))::bigint, -sum(least(amount_fc, 0))::bigint
from final group by all order by all
"""
COUNTS = """
select
    count(*)::bigint as lines,
    count(distinct (entry_key, entry_hash)) filter (where sign = 1) as entries_booked,
    count(distinct (entry_key, entry_hash)) filter (where sign = -1) as entries_reversed,
    count(*) filter (where prior_period) as prior_period_lines
from final
"""
