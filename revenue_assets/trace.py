"""`revenue trace`: the chain around one id, up to its source records and down to the ERP document.

Reads the published `finance` schema alone, so it works while a run holds the warehouse. Walks edges in one direction
at a time: up to all that led to the id, down to all that followed, never sideways (a payout's other payments).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import click
import duckdb

from revenue_assets.publish.read import open_published
from revenue_assets.settings import Settings

# The order in which a chain reads.
ORDER = (
    "source_record", "event", "account", "customer", "opportunity", "quote", "subscription", "item", "usage", "invoice",
    "tax_document", "credit_note", "payment", "refund", "dispute", "balance_txn", "payout", "bank_line",
    "journal_entry", "journal_line", "posting_batch", "erp_document",
)  # fmt: skip
SHOWN_PER_TYPE = 6

WALK = """
with recursive walk (node_type, node_id, distance) as (
    select distinct node_type, node_id, 0
    from (
        select from_type as node_type, from_id as node_id from finance.document_links where from_id = $id
        union
        select to_type, to_id from finance.document_links where to_id = $id
    )
    union
    select {next}_type, {next}_id, walk.distance + 1
    from walk
    inner join finance.document_links on {here}_type = walk.node_type and {here}_id = walk.node_id
    where walk.distance < 30
)
select node_type, node_id, min(distance) as distance from walk group by all
"""
EXCEPTIONS = """
select exception_id, recon_code, category, owner_team, entity_code, period, amount, currency, status, reference,
    error_message, next_action
from finance.exception_queue
where list_contains($ids, reference) or list_contains($ids, erp_document) or list_contains($ids, idempotency_key)
order by recon_code, period, reference
"""


class TraceError(LookupError):
    """The id is not known; the message says what was searched."""


def read_trace(settings: Settings, identifier: str) -> dict[str, Any]:
    """`{identifier, nodes, edges, exceptions}`; a node is `{type, id, direction: up|here|down, distance}`.

    Raises TraceError for an id that occurs nowhere, with what to try.
    """
    with open_published(settings.published) as connection:
        found: dict[tuple[str, str], tuple[str, int]] = {}
        for direction, here, following in (("up", "to", "from"), ("down", "from", "to")):
            query = WALK.format(here=here, next=following)
            for kind, node, distance in connection.execute(query, {"id": identifier}).fetchall():
                found.setdefault((kind, node), ("here" if distance == 0 else direction, distance))
        exceptions = _rows(connection, EXCEPTIONS, {"ids": sorted({identifier, *(i for _, i in _near(found))})})
        if not found and not exceptions:
            raise TraceError(
                f"{identifier!r} is in no chain of the last publish. Known are ids of opportunities, quotes, "
                "subscriptions, invoices, payments, refunds, payouts, journal lines, posting keys, ERP numbers."
            )
        edges = _edges(connection, found)
    nodes = [
        {"type": kind, "id": node, "direction": direction, "distance": distance}
        for (kind, node), (direction, distance) in sorted(found.items(), key=lambda f: (_rank(f[0][0]), f[0][1]))
    ]
    return {"identifier": identifier, "nodes": nodes, "edges": edges, "exceptions": exceptions}


def print_trace(found: dict[str, Any]) -> None:
    """The chain as a person reads it: source first, ERP document last, long lists cut with their count."""
    by_type: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for node in found["nodes"]:
        by_type[node["type"]].append(node)
    click.echo(f"{found['identifier']}\n")
    for kind in sorted(by_type, key=_rank):
        nodes = by_type[kind]
        shown = [f"[{n['id']}]" if n["direction"] == "here" else n["id"] for n in nodes[:SHOWN_PER_TYPE]]
        more = f"  ... and {len(nodes) - SHOWN_PER_TYPE} more" if len(nodes) > SHOWN_PER_TYPE else ""
        click.echo(f"  {kind.replace('_', ' '):<15} {len(nodes):>6}  {'  '.join(shown)}{more}")
    for item in found["exceptions"]:
        click.echo(
            f"\n  {item['recon_code']} {item['category']}: {item['amount']:,.2f} {item['currency']} {item['period']} "
            f"{item['entity_code']}, owner {item['owner_team']} ({item['status']})\n    {item['error_message']}"
            f"\n    Next: {item['next_action']}"
        )
    if not found["nodes"]:
        click.echo("  Nothing of ours led to it, and nothing followed.")


def _near(found: dict[tuple[str, str], tuple[str, int]]) -> list[tuple[str, str]]:
    """What an exception about the chain may refer to; thousands of journal lines never are."""
    return [key for key in found if key[0] not in ("journal_line", "journal_entry", "event", "source_record")]


def _edges(connection: duckdb.DuckDBPyConnection, found: dict[tuple[str, str], Any]) -> list[dict[str, Any]]:
    connection.execute("create temp table walked (node_type varchar, node_id varchar)")
    if found:
        rows = list(found)
        connection.execute(
            "insert into walked select unnest($types), unnest($ids)",
            {"types": [kind for kind, _ in rows], "ids": [node for _, node in rows]},
        )
    query = """
        select l.from_type, l.from_id, l.relation, l.to_type, l.to_id
        from finance.document_links as l
        semi join walked as f on l.from_type = f.node_type and l.from_id = f.node_id
        semi join walked as t on l.to_type = t.node_type and l.to_id = t.node_id
        order by all
    """
    return _rows(connection, query, None)


def _rows(connection: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, Any] | None) -> list[dict[str, Any]]:
    cursor = connection.execute(query, parameters)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _rank(kind: str) -> int:
    return ORDER.index(kind) if kind in ORDER else len(ORDER)
