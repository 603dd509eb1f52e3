"""`revenue status`: does the subledger tie to the ERP, what is in flight, what is open and whose it is.

Figures come from the last publish; batches and periods from the operational store, which is always current.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table

from revenue_assets.checks.reconciliation import money
from revenue_assets.publish.read import open_published
from revenue_assets.settings import Settings

BALANCE_ROLES_FIRST = ("accounts_receivable", "deferred_revenue", "revenue")


def read_status(settings: Settings) -> dict[str, Any]:
    """Everything `revenue status --json` prints; amounts are decimal strings in major units.

    Raises StoreError with a sentence when nothing was published yet.
    """
    from revenue_assets import exception_queue
    from revenue_assets.posting import unposted
    from revenue_assets.store import approvals, outbox, periods, schedule_outbox
    from revenue_assets.store.engine import open_store

    with open_published(settings.published) as connection:
        tie_out = _rows(
            connection,
            "select entity, account_role, currency, subledger, erp, classified, unexplained from finance.tie_out",
        )
        variances = _rows(
            connection,
            """
            select category as variance_class, owner_team as owner, recon_code as recon, count(*) as items
            from finance.exception_queue
            where status not in ('Resolved', 'Accepted')
            group by all order by recon_code, variance_class
            """,
        )
        publish = _rows(connection, "select publish_id, \"at\", as_of from finance.publish_log where status = 'live'")
        ((erp_documents,),) = connection.execute(
            "select count(*) from finance.document_links where to_type = 'erp_document' and from_type = 'posting_batch'"
        ).fetchall()
    store = open_store(settings.store_url)
    try:
        counts = Counter(outbox.counts(store))
        schedules = schedule_outbox.standing(store)
        closed = [p for p in periods.all_periods(store) if p["status"] != "open"]
        waiting = approvals.waiting(store)
        queue = exception_queue.listed(store)
    finally:
        store.close()
    verified, dead = counts.pop("verified", 0), counts.pop("dead", 0)
    return {
        "home": str(settings.home),
        "as_of": settings.as_of.isoformat(),
        "publish": {key: str(value) for key, value in publish[0].items()} if publish else None,
        "tie_out": [
            {
                key: str(value) if isinstance(value, Decimal) else value
                for key, value in row.items()
                if key != "minor_unit"
            }
            for row in sorted(tie_out, key=_tie_out_order)
        ],
        "batches": {"verified": verified, "pending": sum(counts.values()), "dead": dead},
        "erp_documents": erp_documents,
        "schedules": schedules,
        "not_posted": unposted.summary(settings.state),
        "variances": variances,
        "approvals": [
            {"id": w.id, "entity": w.entity_id, "amount": w.amount, "currency": w.currency, "maker": w.maker}
            for w in waiting
        ],
        "exceptions": by_owner(queue),
        "periods": {
            entity: {p["period"]: p["status"] for p in closed if p["entity_id"] == entity}
            for entity in sorted({p["entity_id"] for p in closed})
        },
    }


def print_status(report: dict[str, Any]) -> None:
    """The report as tables: red where something is unexplained."""
    console = Console(highlight=False)
    console.width = max(console.width, 120)  # a redirected console says 80, too narrow for eight columns
    table = Table(title=f"Subledger to ERP, as of {report['as_of']}", title_justify="left")
    for name in ("Entity", "Account role", "Currency"):
        table.add_column(name)
    for name in ("Subledger", "ERP", "Difference", "Classified", "Unexplained"):
        table.add_column(name, justify="right")
    entity = None
    for row in report["tie_out"]:
        if entity not in (None, row["entity"]):
            table.add_section()
        entity = row["entity"]
        subledger, erp, classified, unexplained = (
            Decimal(row[name]) for name in ("subledger", "erp", "classified", "unexplained")
        )
        difference = subledger - erp
        figures = [money(value, 2) for value in (subledger, erp)]
        ties = f"{difference:,.2f}" if not difference else money(difference, 2)
        style = "red" if unexplained else ("yellow" if difference else None)
        rest = [money(classified, 2), money(unexplained, 2)]
        table.add_row(row["entity"], row["account_role"], row["currency"], *figures, ties, *rest, style=style)
    console.print(table)
    table = Table(title="Open variances and exceptions", title_justify="left")
    for name in ("Reconciliation", "Class", "Owner"):
        table.add_column(name)
    table.add_column("Items", justify="right")
    for row in report["variances"]:
        table.add_row(row["recon"], row["variance_class"], row["owner"], str(row["items"]))
    console.print(table)
    batches = report["batches"]
    console.print(
        f"Posting batches: {batches['verified']} verified, {batches['pending']} pending, {batches['dead']} dead; "
        f"ERP documents with our key: {report['erp_documents']}"
    )
    if report["schedules"]:
        counted = ", ".join(f"{count} {status}" for status, count in report["schedules"].items())
        console.print(f"Revenue schedules that the ERP runs, by their newest version: {counted}")
    for row in report["exceptions"]:
        console.print(
            f"Exceptions of {row['owner']}: {row['open']} open, {row['unassigned']} unassigned, "
            f"{row['blocking']} block the close, the oldest {row['oldest_days']} days old"
        )
    if report["approvals"]:
        console.print(f"{len(report['approvals'])} wait for a second person: revenue approvals list", style="yellow")
    for row in report["not_posted"]:
        console.print(
            f"Not posted: {row['lines']} lines of {row['entity_id']} {row['event_class']}, {row['first_period']} to "
            f"{row['last_period']} ({row['owner_team']}): {row['explanation']}"
        )
    for entity, states in report["periods"].items():
        months = sorted(states)
        console.print(f"Closed periods {entity}: {months[0]} to {months[-1]} ({len(months)})")


def print_summary(settings: Settings) -> None:
    """The demo's last screen: the status, and what to open next."""
    report = read_status(settings)
    print_status(report)
    Console(highlight=False).print(
        f"""
What to look at next
  make dev                          the asset graph, checks and metadata at http://127.0.0.1:3000
  revenue status                    this screen again (--json for machines)
  revenue trace ID                  the chain around any id, e.g. a reference of an open exception
  the published finance schema, for BI tools and notebooks:
    {settings.published}
  python -m demo.score              the planted discrepancies against what was found
"""
    )


def by_owner(queue: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Open exceptions of the operational store by owner: how many, how old the oldest is."""
    out: dict[str, dict[str, Any]] = {}
    for row in queue:
        empty = {"owner": row["owner_team"], "open": 0, "unassigned": 0, "blocking": 0, "oldest_days": 0}
        mine = out.setdefault(row["owner_team"], empty)
        mine["open"] += 1
        mine["unassigned"] += row["assignee"] is None
        mine["blocking"] += bool(row["blocks_close"])
        mine["oldest_days"] = max(mine["oldest_days"], row["age_days"])
    return [out[owner] for owner in sorted(out)]


def _tie_out_order(row: dict[str, Any]) -> tuple[str, int, str]:
    role = row["account_role"]
    first = BALANCE_ROLES_FIRST.index(role) if role in BALANCE_ROLES_FIRST else len(BALANCE_ROLES_FIRST)
    return row["entity"], first, role


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
