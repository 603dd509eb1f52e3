"""`update`: new landed events -> the rows of what they touch, replaced in the built tables. Equal to a full build.

1. New deliveries are typed alone. 2. The closure finds the stored events that they reach. 3. The models of the last
dbt build run over these events in memory. 4. Rows of these events go, the new ones come, in one transaction.
What cannot be proven local raises NotLocal before anything is written; the caller then builds in full.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass
from pathlib import Path

import duckdb

from revenue_assets.incremental import sums
from revenue_assets.incremental.compiled import ENTRY, Model
from revenue_assets.incremental.scope import CONTEXT_TYPES, STORED_EVENTS, NotLocal, check_new, closure

# Tables without an event key: columns that name the document (or policy, or day) of a row.
DOCUMENT = ("entity_id", "document_type", "document_id")
KEYS: dict[str, tuple[str, ...]] = {
    "deferred_values": DOCUMENT,
    "document_line_parts": DOCUMENT,
    "document_line_values": DOCUMENT,
    "recognition_parts": DOCUMENT,
    "pending_billings": ("entity_id", "document_id"),
    "usage_billings": ("entity_id", "document_id"),
    "dispute_cases": ("entity_id", "dispute_id"),
}
# Rows that new events can only add to.
ADDITIVE = ("spot_rates",)
# Numbered over the whole business: the rows of the scope get numbers behind the last.
NUMBERED = {"document_events": "doc_no", "document_event_lines": "doc_no", "line_effects": "doc_no"}
# Rows named by their event; with the tables above and below, every table that an update knows how to treat.
BY_EVENT = (
    "bank_line_matches", "cash_applications", "conditional_receipts", "document_events", "document_lines",
    "document_schedule", "documents", "event_verdicts", "invoice_advances", "journal_lines", "line_effects",
    "payment_matches", "payment_reductions", "payment_remainders", "posting_exceptions", "reduction_totals",
    "settlements", "usage_accruals",
)  # fmt: skip
# What local events leave alone: contracts, closings, rates.
UNTOUCHED = (
    "closed_periods", "line_policies", "contract_event_lines", "contract_events", "contract_movements",
    "contract_obligations", "contract_schedule", "obligation_parts", "obligation_prices", "obligation_states",
    "obligation_windows", "spot_rate_ranges",
)  # fmt: skip
KNOWN = {*KEYS, *ADDITIVE, *BY_EVENT, *UNTOUCHED, *sums.SUMS, "document_event_lines"}
# Beyond this share of all events a full build is no dearer.
SCOPE_SHARE_MAX = 0.2


@dataclass(frozen=True)
class Update:
    """What an update did: new events, stored events recomputed with them, rows inserted."""

    new_events: int
    recomputed_events: int
    rows: int


def update(warehouse: Path, landing: Path, every: list[Model], as_of: dt.date, *, threads: int = 2) -> Update:
    """Brings `warehouse` up to date with what has landed since its last build.

    `every` is `compiled.models` of that build, `landing` and `as_of` what it was built with. Raises NotLocal with the
    reason, and writes nothing, if the new events' effect cannot be proven to stay with their documents.
    """
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute(f"set TimeZone = 'UTC'; set preserve_insertion_order = false; set threads = {threads}")
        connection.execute(f"attach '{warehouse}' as whole")
        _check_build(connection, every, as_of)
        new = _land_new(connection, landing, Path(folder))
        if not new:
            return Update(0, 0, 0)
        entry = next(model for model in every if model.name == ENTRY)
        typed = [m for m in every if m.schema in ("staging", "canonical")]
        _begin(connection, every)
        # the landing of the last build stands in the SQL as text; here only what came since is read
        delivered = entry.sql.replace(str(landing), folder)
        _create(connection, entry, delivered)
        _run(connection, [m for m in typed if m.name != ENTRY])
        check_new(connection)
        reached = closure(connection)
        stored = int(connection.execute(f"select count(*) from {STORED_EVENTS}").fetchall()[0][0])
        if reached > SCOPE_SHARE_MAX * stored:
            raise NotLocal(f"new events reach {reached} of {stored} stored ones")
        connection.execute(
            f"create or replace temp table context as select event_key from {STORED_EVENTS} "
            f"and type in {CONTEXT_TYPES} and event_key not in (from scope)"
        )
        connection.execute(
            "create or replace temp table fresh as select event_key from revenue.canonical.event_deliveries"
        )
        connection.execute(
            f"""create or replace temp table delivered as
            select * from revenue.staging.{ENTRY}
            union all by name
            select * exclude (fault, accepted_hash, verdict, delivery_count) from whole.canonical.event_deliveries
            where event_key in (from scope) or event_key in (from context)"""
        )
        _begin(connection, every)
        _create(connection, entry, "select * from temp.main.delivered")
        _run(connection, [m for m in every if m.name not in {ENTRY, *sums.SUMS}])
        _check_entity_wide(connection)
        foreign = "select 1 from revenue.subledger.journal_lines where currency <> functional_currency limit 1"
        if connection.execute(foreign).fetchall():
            raise NotLocal("an item in foreign currency is carried in the order of all facts of its entity")
        connection.execute("insert into scope from fresh")
        return Update(new, reached, _replace(connection, every))


def _check_build(connection: duckdb.DuckDBPyConnection, every: list[Model], as_of: dt.date) -> None:
    """Raises NotLocal unless the last build knew all that holds today: its models, its cut-off, its policy."""
    by_name = {model.name: model for model in every}
    if ENTRY not in by_name or "journal_lines" not in by_name:
        raise NotLocal("there is no dbt build of these events to go on from")
    if f"date '{as_of.isoformat()}'" not in by_name["journal_lines"].sql:
        raise NotLocal(f"the last build had another cut-off than {as_of}")
    unknown = sorted(m.name for m in every if m.schema == "subledger" and m.name not in KNOWN)
    if unknown:
        raise NotLocal(f"how to update {unknown[0]} is not known")
    policy = sums.POLICY.search(by_name["line_policies"].sql)
    changed = policy is None or connection.execute(
        f"select (select max(policy_hash) from {policy.group(0)}) "
        "is distinct from (select max(policy_hash) from whole.subledger.line_policies)"
    ).fetchall() != [(False,)]
    if changed:
        raise NotLocal("the policy is another one than that of the last build")


def _check_entity_wide(connection: duckdb.DuckDBPyConnection) -> None:
    added = (
        "select currency from (from revenue.subledger.line_policies except from whole.subledger.line_policies) limit 1"
    )
    if connection.execute(added).fetchall():
        raise NotLocal("a currency or product family is new to its entity")
    measured = "select entity_id from whole.subledger.line_policies where coalesce(loss_allowance, 'none') <> 'none'"
    if rows := connection.execute(f"{measured} limit 1").fetchall():
        raise NotLocal(f"the allowance of {rows[0][0]} is measured over the whole entity")


def _land_new(connection: duckdb.DuckDBPyConnection, landing: Path, folder: Path) -> int:
    """Copies deliveries that the warehouse has not seen into `folder`, in the landing's layout; their number."""
    files = f"{landing}/*/cloud_event/*/*.parquet"
    sources = connection.execute(f"select distinct _source from read_parquet('{files}')").fetchall()
    if len(sources) > 1:
        raise NotLocal("events come from more than one source")
    last = connection.execute("select coalesce(max(landing_seq), 0) from whole.canonical.event_deliveries").fetchall()
    target = folder / "events" / "cloud_event" / "new"
    target.mkdir(parents=True)
    rows = connection.execute(
        f"copy (select * from read_parquet('{files}') where _landing_seq > {last[0][0]}) "
        f"to '{target / 'new.parquet'}' (format parquet)"
    ).fetchall()
    return int(rows[0][0])


def _begin(connection: duckdb.DuckDBPyConnection, every: list[Model]) -> None:
    """An empty in-memory database under the name that the SQL of the build uses."""
    connection.execute("detach database if exists revenue")
    connection.execute("attach ':memory:' as revenue")
    for schema in sorted({model.schema for model in every}):
        connection.execute(f'create schema revenue."{schema}"')


def _create(connection: duckdb.DuckDBPyConnection, model: Model, sql: str) -> None:
    connection.execute(f'create table revenue."{model.schema}"."{model.name}" as (\n{sql}\n)')


def _run(connection: duckdb.DuckDBPyConnection, chosen: list[Model]) -> None:
    for model in chosen:
        _create(connection, model, model.sql)


def _replace(connection: duckdb.DuckDBPyConnection, every: list[Model]) -> int:
    """Writes the scope's rows into the warehouse in one transaction; returns how many were inserted."""
    connection.execute(
        "create or replace temp table touched as "
        "select distinct entity_id, document_type, document_id from ("
        "select * from revenue.subledger.documents where event_key in (from scope) union all by name "
        "select * from whole.subledger.documents where event_key in (from scope))"
    )
    connection.execute(
        "create or replace temp table disputes as select distinct entity_id, dispute_id "
        "from revenue.canonical.can_dispute_events where event_key in (from scope)"
    )
    inserted = 0
    connection.execute("begin")
    try:
        number = int(
            connection.execute("select coalesce(max(doc_no), 0) from whole.subledger.document_events").fetchall()[0][0]
        )
        # rows that hang on a number go while the number can still be looked up
        connection.execute(
            "delete from whole.subledger.document_event_lines where doc_no in "
            "(select doc_no from whole.subledger.document_events where event_key in (from scope))"
        )
        sums.before(connection, every)
        for model in every:
            inserted += _replace_one(connection, model, number)
        sums.move(connection, every)
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return inserted


def _replace_one(connection: duckdb.DuckDBPyConnection, model: Model, number: int) -> int:
    if model.name in sums.SUMS:
        return 0
    name = f'"{model.schema}"."{model.name}"'
    columns = [
        row[0]
        for row in connection.execute(
            "select column_name from duckdb_columns() inner join duckdb_tables() using (table_oid, database_name) "
            "where database_name = 'whole' and duckdb_tables.schema_name = ? and duckdb_tables.table_name = ?",
            [model.schema, model.name],
        ).fetchall()
    ]
    if not columns:  # a view: its tables change
        return 0
    source = f"select * from revenue.{name}"
    if number_column := NUMBERED.get(model.name):
        source = (
            f"select * replace (cast({number_column} + {number} as integer) as {number_column}) from revenue.{name}"
        )
    if model.name in ADDITIVE:
        return _insert(connection, name, f"{source} except select * from whole.{name}")
    if model.name in UNTOUCHED:
        return 0
    if "event_key" in columns:
        condition = "event_key in (from scope)"
    elif model.name in KEYS:
        keys = KEYS[model.name]
        of = "disputes" if "dispute_id" in keys else "touched"
        condition = f"({', '.join(keys)}) in (select ({', '.join(keys)}) from temp.main.{of})"
    elif model.name == "document_event_lines":
        return _insert(connection, name, source)
    else:
        return 0
    connection.execute(f"delete from whole.{name} where {condition}")
    return _insert(connection, name, f"select * from ({source}) as scoped where {condition}")


def _insert(connection: duckdb.DuckDBPyConnection, name: str, query: str) -> int:
    return int(connection.execute(f"insert into whole.{name} by name ({query})").fetchall()[0][0])
