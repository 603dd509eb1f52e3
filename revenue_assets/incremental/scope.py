"""Which events share a fate with new ones: the closure over the documents that events name.

Two events influence each other only through a document, a payment, a balance transaction or a metered item's window
that both name. Whatever else could carry an effect further (rates, closings, payouts and bank lines, contracts, foreign
currency, remittance texts, a second delivery) is no matter of a closure: `NotLocal` says so and a full build follows.
"""

from __future__ import annotations

import duckdb

# Types whose effect stays with the documents they name. Any other type among new events asks for a full build.
LOCAL_TYPES = (
    "invoice.posted", "invoice.voided", "invoice.uncollectible", "credit_note.issued", "credit_note.voided",
    "payment.settled", "payment.applied", "payment.failed", "refund.issued", "refund.failed", "tax.recalculated",
    "usage.rated", "pending_charge.recorded", "dunning.status_changed", "dispute.opened", "dispute.funds_withdrawn",
    "dispute.funds_reinstated", "dispute.closed",
)  # fmt: skip
# Events that state what holds for everybody: part of every scope, never replaced by it.
CONTEXT_TYPES = (
    "fx_rate.published", "period.soft_closed", "period.hard_closed", "period.reopened", "subscription.created",
    "amendment.booked",
)  # fmt: skip
# (schema, table, entity column, id column, what it identifies)
LINKS = (
    ("canonical", "can_invoices", "entity_id", "invoice_id", "invoice"),
    ("canonical", "can_credit_notes", "entity_id", "invoice_id", "invoice"),
    ("canonical", "can_invoice_ends", "entity_id", "invoice_id", "invoice"),
    ("canonical", "can_payment_applications", "invoice_entity_id", "invoice_id", "invoice"),
    ("subledger", "cash_applications", "invoice_entity_id", "invoice_id", "invoice"),
    ("canonical", "can_refund_allocations", "entity_id", "invoice_id", "invoice"),
    ("canonical", "can_tax_recalculations", "entity_id", "document_id", "invoice"),
    ("subledger", "invoice_advances", "entity_id", "invoice_id", "invoice"),
    ("subledger", "invoice_advances", "entity_id", "payment_id", "payment"),
    ("canonical", "can_payments", "entity_id", "payment_id", "payment"),
    ("canonical", "can_payment_applications", "entity_id", "payment_id", "payment"),
    ("canonical", "can_refunds", "entity_id", "payment_id", "payment"),
    ("canonical", "can_dispute_events", "entity_id", "payment_id", "payment"),
    ("canonical", "can_dispute_events", "entity_id", "dispute_id", "dispute"),
    ("canonical", "can_credit_notes", "entity_id", "credit_note_id", "credit_note"),
    ("canonical", "can_credit_note_voids", "entity_id", "credit_note_id", "credit_note"),
    ("canonical", "can_refunds", "entity_id", "credit_note_id", "credit_note"),
    ("canonical", "can_refunds", "entity_id", "refund_id", "refund"),
    ("canonical", "can_refund_failures", "entity_id", "refund_id", "refund"),
    ("canonical", "can_pending_charges", "entity_id", "pending_charge_id", "pending_charge"),
    ("canonical", "can_invoice_lines", "entity_id", "pending_charge_id", "pending_charge"),
    ("canonical", "can_usage_rated", "entity_id", "usage_id", "usage"),
    ("canonical", "can_payments", "entity_id", "bt_id", "balance_txn"),
    ("canonical", "can_refunds", "entity_id", "bt_id", "balance_txn"),
    ("canonical", "can_dispute_txns", "entity_id", "bt_id", "balance_txn"),
)
ROUNDS_MAX = 50
# canonical.events of the built warehouse; a view in it would not look into `whole`.
STORED_EVENTS = "whole.canonical.event_deliveries where verdict = 'accepted'"


class NotLocal(Exception):
    """The effect of the new events cannot be proven to stay with their documents; the message says why."""


def check_new(connection: duckdb.DuckDBPyConnection) -> None:
    """Raises NotLocal for new events whose effect may reach anywhere. Reads `revenue` (new only) and `whole`."""
    _refuse(
        connection,
        f"select distinct type from revenue.canonical.event_deliveries where type is null or type not in {LOCAL_TYPES}",
        "events of type {} may change any document",
    )
    _refuse(
        connection,
        "select event_key from revenue.canonical.event_deliveries where event_key is null or supersedes_id is not null "
        "or event_key in (select event_key from whole.canonical.event_deliveries) limit 1",
        "event {} was delivered before, or corrects another one",
    )
    _refuse(
        connection,
        "select payment_id from revenue.canonical.can_payments where reference is not null and not is_advance "
        "and amount > applied_amount + direct_amount + direct_tax_amount limit 1",
        "payment {} is placed by its remittance text",
    )
    _refuse(
        connection,
        "select count(*) from whole.canonical.can_payments where reference is not null and not is_advance "
        "and amount > applied_amount + direct_amount + direct_tax_amount "
        "and exists (select 1 from revenue.canonical.can_invoices) having count(*) > 0",
        "{} payments wait for an invoice that their remittance text may name",
    )


def closure(connection: duckdb.DuckDBPyConnection) -> int:
    """Fills temp table `scope(event_key)` with the stored events that new ones reach; returns how many.

    Starts from the ids in `revenue` (new events, typed), walks the tables of `whole`. Raises NotLocal where the walk
    meets something that is not local.
    """
    connection.execute("create or replace temp table scope (event_key varchar)")
    connection.execute("create or replace temp table seen (kind varchar, entity_id varchar, id varchar)")
    _ids(connection, "revenue", "true")
    _usage(connection, "revenue", "true")
    for _ in range(ROUNDS_MAX):
        connection.execute(
            "create or replace temp table reached as select distinct event_key from ("
            + " union all ".join(
                f"select t.event_key from whole.{schema}.{table} as t inner join "
                f"(select entity_id, id from frontier where kind = '{kind}') as f "
                f"on t.{entity} = f.entity_id and t.{column} = f.id"
                for schema, table, entity, column, kind in LINKS
            )
            + " union all select event_key from metered) as found "
            "where event_key not in (select event_key from scope)"
        )
        if not _count(connection, "reached"):
            break
        connection.execute("insert into scope from reached")
        _ids(connection, "whole", "t.event_key in (select event_key from reached)")
        _usage(connection, "whole", "event_key in (select event_key from reached)")
    else:
        raise NotLocal("the documents that new events reach have no end")
    _refuse(
        connection,
        "select lines.contract_id from (from whole.canonical.can_invoice_lines where event_key in (from scope) "
        "union all from revenue.canonical.can_invoice_lines) as lines where lines.contract_id is not null limit 1",
        "contract {} shares its price over documents",
    )
    _refuse(
        connection,
        f"select id from {STORED_EVENTS} and supersedes_id is not null limit 1",
        "event {} corrects another one",
    )
    return _count(connection, "scope")


def _ids(connection: duckdb.DuckDBPyConnection, database: str, condition: str) -> None:
    """Temp table `frontier`: the ids that these events name and no earlier ones did."""
    connection.execute(
        "create or replace temp table frontier as select distinct kind, entity_id, id from ("
        + " union all ".join(
            f"select '{kind}' as kind, t.{entity} as entity_id, t.{column} as id from {database}.{schema}.{table} as t "
            f"where t.{column} is not null and {condition}"
            for schema, table, entity, column, kind in LINKS
            if database == "whole" or schema == "canonical"
        )
        + ") as named anti join seen using (kind, entity_id, id)"
    )
    connection.execute("insert into seen from frontier")


def _usage(connection: duckdb.DuckDBPyConnection, database: str, condition: str) -> None:
    """Temp table `metered`: stored usage and usage lines of an item whose window overlaps one of these."""
    windows = """
        select event_key, entity_id, subscription_item_id as item, window_start as starts, window_end as ends
        from {0}.canonical.can_usage_rated where {1}
        union all
        select event_key, entity_id, subscription_item_id, service_start, service_end
        from {0}.canonical.can_invoice_lines
        where charge_kind = 'usage' and subscription_item_id is not null and service_start is not null and {1}
    """
    connection.execute(f"create or replace temp table windows as {windows.format(database, condition)}")
    items = "(entity_id, subscription_item_id) in (select (entity_id, item) from windows)"
    connection.execute(
        f"create or replace temp table metered as select distinct stored.event_key from "
        f"({windows.format('whole', items)}) as stored inner join windows on stored.entity_id = windows.entity_id "
        "and stored.item = windows.item and stored.starts < greatest(windows.ends, windows.starts + 1) "
        "and greatest(stored.ends, stored.starts + 1) > windows.starts"
    )


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(connection.execute(f"select count(*) from {table}").fetchall()[0][0])


def _refuse(connection: duckdb.DuckDBPyConnection, query: str, sentence: str) -> None:
    """Raises NotLocal with the first value of the query's first row, if it has one."""
    rows = connection.execute(query).fetchall()
    if rows:
        raise NotLocal(sentence.format(rows[0][0]))
