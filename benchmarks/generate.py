# ruff: noqa: E501 - lines of SQL
"""A deterministic business of any size as landed CloudEvents: the bytes that a company with its own billing would drop.

Rows are invoice lines, usage records and payments, 141 per customer over three years: of ten customers five are billed
monthly (platform, seats, last month's usage; three usage records a month), four yearly (four contracts of two lines),
one at once each quarter. Every entity trades in its own currency; everything follows from the customer's number.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path

import duckdb

from revenue_assets.conformance.cases import Case
from revenue_assets.conformance.load import write_empty_sources, write_state

AS_OF = dt.date(2025, 12, 31)
ROWS_PER_CUSTOMER = 141
ENTITIES = {"US": "USD", "UK": "GBP", "DE": "EUR"}
POLICY = {"recognition": "ratable_daily", "schedule_rounding": "cumulative"}
# A file per so many customers keeps every file near 100 MB and the writer's memory small.
CUSTOMERS_PER_FILE = 20_000

BUSINESS = """
create or replace temp macro mixed(a, b, top) as ((a * 7919 + b * 104729) % top);
create or replace temp table customers as
select
    c, ['US', 'UK', 'DE'][c % 3 + 1] as entity, ['USD', 'GBP', 'EUR'][c % 3 + 1] as currency,
    case when c % 10 < 5 then 'monthly' when c % 10 < 9 then 'yearly' else 'once' end as billing
from range($first, $end) as r (c);
create or replace temp table terms as
select *, c || '-' || n as term, start + interval 1 month as until, start - interval 1 month as before
from (
    select customers.*, m as n, date '2023-01-01' + (interval 1 day * (c % 20)) + interval 1 month * m as start
    from customers, range(36) as r (m) where billing = 'monthly'
)
union all
select *, c || '-' || n as term, start + interval 1 year as until, null as before
from (
    select customers.*, k * 3 + y as n,
        date '2023-01-01' + (interval 1 day * (c % 28)) + interval 3 month * k + interval 1 year * y as start
    from customers, range(4) as r (k), range(3) as s (y) where billing = 'yearly'
)
union all
select *, c || '-' || n as term, cast(null as timestamp) as until, null as before
from (
    select customers.*, q as n, date '2023-01-15' + (interval 1 day * (c % 9)) + interval 3 month * q as start
    from customers, range(12) as r (q) where billing = 'once'
);
create or replace temp table usage as
select entity, currency, c, n, j, start, until, start + interval 7 day * (j + 1) as happened, 100 + mixed(c + j, n, 900) as amount
from terms, range(3) as r (j)
where billing = 'monthly';
create or replace temp table lines as
select term, 1 as line_no, 'platform' as family, 10000 + mixed(c, n, 50000) as amount, null as item, start as opens, until as closes
from terms
union all
select term, 2, 'seats', 3000 + mixed(n, c, 20000), null, start, until from terms where billing <> 'once'
union all
select terms.term, 3, 'usage', sum(usage.amount), 'si-' || terms.c, terms.before, terms.start
from terms inner join usage on terms.c = usage.c and terms.n = usage.n + 1
group by all;
create or replace temp table invoices as
select terms.*, 'in-' || term as invoice_id, net + tax as gross, document_lines
from terms
inner join (
    select
        term, sum(amount) as net, sum(case when family = 'usage' then 0 else amount // 5 end) as tax,
        '[' || string_agg(
            '{"line_id":"' || line_no || '","amount":' || amount || ',"product_family":"' || family || '"'
            || coalesce(',"charge_kind":"usage","subscription_item_id":"' || item || '"', '')
            || coalesce(
                ',"service_start":"' || cast(opens as date) || '","service_end":"' || cast(closes as date) || '"', ''
            )
            || case when family = 'usage' then ''
                else ',"tax_lines":[{"tax_code":"VAT","jurisdiction":"X","rate":"0.20","amount":' || amount // 5 || '}]' end
            || '}', ',' order by line_no
        ) || ']' as document_lines
    from lines group by term
) as priced using (term);
"""

EVENTS = """
select
    'in-' || term as id, 'invoice.posted' as type, entity, start as happened,
    '{"invoice_id":"' || invoice_id || '","customer_id":"cu-' || c || '","number":"N' || term || '","currency":"' || currency
    || '","due_date":"' || cast(start + interval 30 day as date) || '","lines":' || document_lines || '}' as data
from invoices
union all
select
    'us-' || c || '-' || n || '-' || j, 'usage.rated', entity, happened,
    '{"usage_id":"us-' || c || '-' || n || '-' || j || '","subscription_item_id":"si-' || c || '","customer_id":"cu-' || c
    || '","window_start":"' || cast(start as date) || '","window_end":"' || cast(until as date) || '","quantity":"' || amount
    || '","unit_price":"0.01","amount":' || amount || ',"currency":"' || currency || '"}'
from usage
union all
select
    'py-' || term, 'payment.settled', entity, start + interval 1 day * (3 + mixed(c, n, 25)),
    '{"payment_id":"py-' || term || '","customer_id":"cu-' || c || '","amount":' || gross || ',"currency":"' || currency
    || '","applications":[{"invoice_id":"' || invoice_id || '","amount":' || gross || '}]'
    || case when c % 5 = 0 then ',"channel":"bank"}'
        else ',"channel":"processor","balance_txn":{"balance_txn_id":"bt-' || term || '","gross":' || gross || ',"fee":'
            || gross * 29 // 1000 || ',"net":' || gross - gross * 29 // 1000 || ',"currency":"' || currency || '"}}' end
from invoices
where (c + n) % 20 <> 0
"""

# New facts of the last weeks, one per step-th customer: an open invoice gets paid, a sale is billed, usage comes in,
# a yearly invoice is credited in part. One in a thousand of all events.
CHANGES = """
create or replace temp table chosen as
select *, row_number() over (order by c desc) as pick from invoices
where c % $step = 0 and n = case billing when 'monthly' then 35 when 'yearly' then 11 else 11 end;
"""
CHANGED_EVENTS = """
select
    'x-in-' || pick as id, 'invoice.posted' as type, entity, timestamp '2025-12-20' as happened,
    '{"invoice_id":"x-in-' || pick || '","customer_id":"cu-' || c || '","currency":"' || currency
    || '","lines":[{"line_id":"1","amount":120000,"product_family":"platform","service_start":"2025-12-20",'
    || '"service_end":"2026-12-20","tax_amount":24000}]}' as data
from chosen where pick % 4 = 0
union all
select
    'x-us-' || pick, 'usage.rated', entity, timestamp '2025-12-28',
    '{"usage_id":"x-us-' || pick || '","subscription_item_id":"si-' || c || '","customer_id":"cu-' || c
    || '","window_start":"2025-12-28","window_end":"2025-12-29","quantity":"7","unit_price":"0.01","amount":7,"currency":"'
    || currency || '"}'
from chosen where pick % 4 = 1
union all
select
    'x-py-' || pick, 'payment.settled', entity, timestamp '2025-12-29',
    '{"payment_id":"x-py-' || pick || '","customer_id":"cu-' || c || '","amount":1000,"currency":"' || currency
    || '","applications":[{"invoice_id":"' || invoice_id || '","amount":1000}],"channel":"bank"}'
from chosen where pick % 4 = 2
union all
select
    'x-cn-' || pick, 'credit_note.issued', entity, timestamp '2025-12-30',
    '{"credit_note_id":"x-cn-' || pick || '","invoice_id":"' || invoice_id || '","customer_id":"cu-' || c
    || '","currency":"' || currency || '","timing":"post_payment","lines":[{"invoice_line_id":"1","amount":500}]}'
from chosen where pick % 4 = 3
"""

LANDED = """
copy (
    select
        'events' as _source, 'cloudevents' as _vendor, 'cloud_event' as _object, sha256(id) as _record_id,
        sha256(data) as _content_hash, happened + interval 12 hour as _landed_at,
        $sequence + row_number() over (order by id) as _landing_seq, '$batch' as _batch_id, 'benchmark' as _run_id,
        entity as _entity_id,
        '{"specversion":"1.0","id":"' || id || '","source":"/benchmark","type":"' || type || '","time":"'
        || strftime(happened, '%Y-%m-%dT%H:%M:%SZ') || '","dataschema":"urn:revenue-assets:' || type || ':1","entityid":"'
        || entity || '","effectivedate":"' || cast(happened as date) || '","recordedtime":"'
        || strftime(happened + interval 1 hour, '%Y-%m-%dT%H:%M:%SZ') || '","data":' || data || '}' as raw
    from ($events)
    where happened < timestamp '2026-01-01'
) to '$file' (format parquet, compression zstd)
"""


def customers(rows: int) -> int:
    """How many customers bring about so many rows; at least ten, so that every kind occurs."""
    return max(10, rows // ROWS_PER_CUSTOMER)


def write_home(home: Path, rows: int, project: Path) -> None:
    """landing/, state/ and journal/ of a company with `rows` invoice lines, usage records and payments."""
    write_empty_sources(project, home / "landing", home / "journal")
    write_state([_company()], home / "state")
    with duckdb.connect() as connection:
        total = customers(rows)
        for number, first in enumerate(range(0, total, CUSTOMERS_PER_FILE)):
            end = min(first + CUSTOMERS_PER_FILE, total)
            _business(connection, first, end)
            _land(connection, home, f"base-{number:04d}", EVENTS, sequence=number * 100_000_000)


def write_changes(home: Path, rows: int, *, share: float = 0.001) -> int:
    """Lands new events, `share` of those that `rows` mean, as one more batch; returns their number."""
    total = customers(rows)
    step = max(1, round(1 / (share * 100)))
    with duckdb.connect() as connection:
        _business(connection, 0, total, only=step)
        connection.execute(CHANGES.replace("$step", str(step)))
        return _land(connection, home, "changes-0001", CHANGED_EVENTS, sequence=90_000_000_000)


def _business(connection: duckdb.DuckDBPyConnection, first: int, end: int, only: int = 1) -> None:
    connection.execute("set preserve_insertion_order = false")
    connection.execute(BUSINESS.replace("$first", str(first)).replace("$end", f"{end}, {only}"))


def _land(connection: duckdb.DuckDBPyConnection, home: Path, batch: str, events: str, *, sequence: int) -> int:
    folder = home / "landing" / "events" / "cloud_event" / "day=2025-12-31"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{batch}.parquet"
    filled = {"sequence": str(sequence), "batch": batch, "file": str(file), "events": events}
    sql = LANDED
    for name, value in filled.items():
        sql = sql.replace(f"${name}", value)
    connection.execute(sql)
    return int(connection.execute(f"select count(*) from read_parquet('{file}')").fetchall()[0][0])


def _company() -> Case:
    """The company of the benchmark in the form in which worked examples name theirs."""
    return Case(
        id="benchmark",
        code="benchmark",
        title="Benchmark",
        path=Path("benchmark"),
        entities=[{"id": name, "functional_currency": currency} for name, currency in ENTITIES.items()],
        policy=[{"entity": name, "set": dict(POLICY)} for name in ENTITIES],
        fx_rates=[],
        events=[
            {"id": "last", "type": "benchmark", "time": f"{day.isoformat()}T00:00:00Z", "data": {}}
            for day in (dt.date(2023, 1, 1), AS_OF)
        ],
        expect={},
        entity_ids=frozenset(ENTITIES),
    )


def digest(home: Path) -> str:
    """Hash over what was landed, so that two machines can tell whether they measured the same business."""
    files = sorted((home / "landing" / "events").glob("*/*/*.parquet"))
    with duckdb.connect() as connection:
        figures = [
            connection.execute(
                f"select count(*), cast(bit_xor(hash(raw)) as varchar) from read_parquet('{file}')"
            ).fetchall()[0]
            for file in files
        ]
    return hashlib.sha256(json.dumps(figures).encode()).hexdigest()[:16]
