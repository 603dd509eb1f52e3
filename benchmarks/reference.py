# ruff: noqa: E501 - lines of SQL
"""The same work by hand: one connection, one script, only what this business needs, nothing kept for others to read.

What a good analyst would write who knows that there are no credits, contracts, foreign currency or closed periods: the
same journal lines (entry, account, amounts, dimensions), the same schedule. It keeps no intermediate table but the typed
facts, has no policy, no verdicts, no exceptions, no roll-forwards and no entry hashes. `totals` of both sides are compared.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

SCRIPT = """
create table landed as
select
    f[1] as type, f[2] as entity_id, cast(f[3] as date) as day, f[4] as data
from (
    select json_extract_string(raw, ['$.type', '$.entityid', '$.effectivedate', '$.data', '$.source', '$.id']) as f, _landing_seq
    from read_parquet('$landing/events/cloud_event/*/*.parquet')
)
qualify row_number() over (partition by f[5], f[6] order by _landing_seq) = 1;

create table invoices as
select entity_id, day, from_json(data, '{"invoice_id":"VARCHAR","customer_id":"VARCHAR","currency":"VARCHAR","lines":[{"line_id":
"VARCHAR","amount":"BIGINT","product_family":"VARCHAR","charge_kind":"VARCHAR","subscription_item_id":"VARCHAR","service_start":
"DATE","service_end":"DATE","tax_lines":[{"tax_code":"VARCHAR","jurisdiction":"VARCHAR","amount":"BIGINT"}]}]}') as d
from landed where type = 'invoice.posted';

create table lines as
select
    entity_id, day, d.invoice_id, d.customer_id, d.currency, x.line_id, x.amount, x.product_family, x.charge_kind,
    x.subscription_item_id, x.service_start, x.service_end, x.tax_lines[1].tax_code as tax_code,
    x.tax_lines[1].jurisdiction as jurisdiction, coalesce(x.tax_lines[1].amount, 0) as tax
from (select *, unnest(d.lines) as x from invoices);

create table usage as
select entity_id, day, from_json(data, '{"usage_id":"VARCHAR","subscription_item_id":"VARCHAR","customer_id":"VARCHAR",
"window_start":"DATE","window_end":"DATE","amount":"BIGINT","currency":"VARCHAR"}') as d
from landed where type = 'usage.rated';

create table payments as
select entity_id, day, from_json(data, '{"payment_id":"VARCHAR","customer_id":"VARCHAR","amount":"BIGINT","currency":"VARCHAR",
"channel":"VARCHAR","applications":[{"invoice_id":"VARCHAR","amount":"BIGINT"}],"balance_txn":{"gross":"BIGINT","fee":"BIGINT"}}')
as d
from landed where type = 'payment.settled';

create table billed as
select lines.invoice_id, lines.line_id, cast(sum(usage.d.amount) as bigint) as accrued
from lines
inner join usage
    on lines.entity_id = usage.entity_id and lines.subscription_item_id = usage.d.subscription_item_id
    and lines.service_start <= usage.d.window_start and lines.service_end >= usage.d.window_end and usage.day < lines.day
where lines.charge_kind = 'usage'
group by all;

-- Ratable by day, cumulative rounding: what is due to a month's end less what was due to its beginning.
create table schedule as
select
    * exclude (month, days, upto, before),
    least(last_day(month), last_day(month)) as recognised_on,
    cast((2 * cast(amount as hugeint) * upto + days) // (2 * days) - (2 * cast(amount as hugeint) * before + days) // (2 * days) as bigint)
        as part
from (
    select
        *, service_end - service_start as days,
        least(cast(month + interval 1 month as date), service_end) - service_start as upto,
        greatest(cast(month as date), service_start) - service_start as before
    from (
        select
            *,
            unnest(generate_series(date_trunc('month', service_start), cast(service_end - 1 as timestamp), interval 1 month)) as month
        from lines
        where service_end is not null and charge_kind is null
    )
);

create table journal as
select
    md5(entry) as entry_key, row_number() over (partition by entry order by role, line_id, amount) as line_no, entity_id, day,
    strftime(day, '%Y-%m') as period, event_type, document_id, line_id, role, currency, amount, product_family, customer_id,
    jurisdiction, tax_code
from (
    select 'i' || invoice_id as entry, entity_id, day, 'invoice.posted' as event_type, invoice_id as document_id, null as line_id,
        'accounts_receivable' as role, currency, cast(sum(amount + tax) as bigint) as amount, 'default' as product_family,
        customer_id, null as jurisdiction, null as tax_code
    from lines group by all
    union all
    select 'i' || invoice_id, entity_id, day, 'invoice.posted', invoice_id, line_id, 'deferred_revenue', currency, -amount,
        product_family, customer_id, null, null
    from lines where service_end is not null and charge_kind is null
    union all
    select 'i' || lines.invoice_id, entity_id, day, 'invoice.posted', lines.invoice_id, lines.line_id, 'unbilled_receivable', currency,
        -billed.accrued, product_family, customer_id, null, null
    from lines inner join billed using (invoice_id, line_id)
    union all
    select 'i' || lines.invoice_id, entity_id, day, 'invoice.posted', lines.invoice_id, lines.line_id, 'revenue', currency,
        -(amount - coalesce(billed.accrued, 0)), product_family, customer_id, null, null
    from lines left join billed using (invoice_id, line_id)
    where service_end is null or charge_kind = 'usage'
    union all
    select 'i' || invoice_id, entity_id, day, 'invoice.posted', invoice_id, line_id, 'tax_liability', currency, -tax, product_family,
        customer_id, jurisdiction, tax_code
    from lines
    union all
    select 'u' || d.usage_id, entity_id, day, 'usage.rated', d.usage_id, d.subscription_item_id, unnest(['unbilled_receivable', 'revenue']),
        d.currency, unnest([d.amount, -d.amount]), 'default', d.customer_id, null, null
    from usage
    union all
    select 'p' || d.payment_id, entity_id, day, 'payment.settled', d.payment_id, null,
        case d.channel when 'bank' then 'cash' else 'processor_clearing' end, d.currency, d.amount - coalesce(d.balance_txn.fee, 0),
        'default', d.customer_id, null, null
    from payments
    union all
    select 'p' || d.payment_id, entity_id, day, 'payment.settled', d.payment_id, null, 'fees', d.currency, d.balance_txn.fee, 'default',
        d.customer_id, null, null
    from payments
    union all
    select 'p' || d.payment_id, entity_id, day, 'payment.settled', d.applications[1].invoice_id, null, 'accounts_receivable',
        d.currency, -d.amount, 'default', d.customer_id, null, null
    from payments
    union all
    select 'r' || invoice_id || line_id || recognised_on, entity_id, recognised_on, 'revenue.recognised', invoice_id, line_id,
        unnest(['deferred_revenue', 'revenue']), currency, unnest([part, -part]), product_family, customer_id, null, null
    from schedule where recognised_on <= date '$as_of'
)
where amount <> 0;
"""

ENGINE_TOTALS = """
select period, account_role, currency, count(*), cast(sum(amount_tc) as bigint) from subledger.journal_lines group by all order by all
"""
TOTALS = "select period, role, currency, count(*), cast(sum(amount) as bigint) from journal group by all order by all"
ENGINE_SCHEDULE = """
select period, count(*), cast(sum(amount) as bigint) from subledger.document_schedule where not at_once group by all order by all
"""
SCHEDULE = """
select strftime(recognised_on, '%Y-%m') as period, count(*), cast(sum(part) as bigint) from schedule where part <> 0
group by all order by all
"""


def build(home: Path, as_of: str, target: Path) -> None:
    """Runs the script over `home`'s landing into the file `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    with duckdb.connect(str(target)) as connection:
        connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false; set threads = 2")
        connection.execute(SCRIPT.replace("$landing", str(home / "landing")).replace("$as_of", as_of))


def differences(engine: Path, reference: Path) -> list[str]:
    """Sentences, one per month, account and currency (or month of the schedule) on which the two do not agree."""
    found = []
    with duckdb.connect(str(engine), read_only=True) as left, duckdb.connect(str(reference), read_only=True) as right:
        for ours, theirs in ((ENGINE_TOTALS, TOTALS), (ENGINE_SCHEDULE, SCHEDULE)):
            a, b = set(left.execute(ours).fetchall()), set(right.execute(theirs).fetchall())
            found += [f"only the engine has {row}" for row in sorted(a - b)]
            found += [f"only the reference has {row}" for row in sorted(b - a)]
    return found
