"""`revenue exceptions ...`: what finance does with the exception queue."""

from __future__ import annotations

import json
from typing import Any

import click

JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
NOTE = click.option("--note", required=True, help="Why; it is kept in the audit log.")
IDENTIFIER = click.argument("exception_id", metavar="ID")


@click.group()
def exceptions() -> None:
    """What a person must look at: list, show, assign, settle, and replay after the fix."""


@exceptions.command("list")
@click.option("--owner", help="Only this team's.")
@click.option("--class", "category", help="Only this class, such as period_closed.")
@click.option("--entity", help="Only this legal entity's.")
@click.option("--period", help="Only this period's (YYYY-MM).")
@click.option("--status", help="Only in this status, such as Open or Resolved.")
@click.option("--assignee", help="Only this person's.")
@click.option("--all", "closed_too", is_flag=True, help="Resolved and accepted ones too.")
@JSON
def list_(
    owner: str | None, category: str | None, entity: str | None, period: str | None, status: str | None,
    assignee: str | None, closed_too: bool, as_json: bool,
) -> None:  # fmt: skip
    """The open exceptions, oldest first, with owner and age. ID is the first column of each; six characters will do."""
    from revenue_assets import exception_queue
    from revenue_assets.acting import reading

    with reading() as session:
        rows = exception_queue.listed(
            session.store, closed_too=closed_too, owner_team=owner, category=category, entity_id=entity, period=period,
            status=status, assignee=assignee,
        )  # fmt: skip
    if as_json:
        _print_json(rows)
        return
    _print_table(rows)


@exceptions.command()
@IDENTIFIER
@JSON
def show(exception_id: str, as_json: bool) -> None:
    """All there is about one: what was seen, whose it is, since when, what happened, what to do next."""
    from revenue_assets import exception_queue
    from revenue_assets.acting import reading

    with reading() as session:
        found = exception_queue.described(session.store, exception_id)
    if as_json:
        _print_json(found)
        return
    for line in _words(found):
        click.echo(line)


@exceptions.command()
@IDENTIFIER
@click.argument("person")
def assign(exception_id: str, person: str) -> None:
    """Give it to PERSON; an open one is in progress from now on."""
    from revenue_assets import exception_queue
    from revenue_assets.acting import acting

    with acting() as session:
        exception_queue.assign(session.store, exception_id, person, actor=session.actor)
    click.echo(f"{exception_id} is assigned to {person}.")


@exceptions.command()
@IDENTIFIER
@NOTE
def resolve(exception_id: str, note: str) -> None:
    """The cause is gone. If it is not, the next run opens it again."""
    _settle(exception_id, "Resolved", note)


@exceptions.command()
@IDENTIFIER
@NOTE
def accept(exception_id: str, note: str) -> None:
    """It may stay as it is. It comes back when its amount changes."""
    _settle(exception_id, "Accepted", note)


@exceptions.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--class", "category", help="All open ones of this class.")
@click.option("--note", default="", help="What was corrected; it is kept in the audit log.")
@JSON
def replay(ids: tuple[str, ...], category: str | None, note: str, as_json: bool) -> None:
    """Take it up again after the fix, under the same key; repeating it changes nothing.

    A dead batch is posted by the next posting run (or its sensor); whatever else it is, the next refresh looks again.
    """
    from revenue_assets import exception_queue
    from revenue_assets.acting import acting

    if bool(ids) == bool(category):
        raise click.UsageError("name the exceptions, or a class with --class.")
    with acting() as session:
        done = exception_queue.replay(session.store, ids=ids, category=category, actor=session.actor, note=note)
    if as_json:
        _print_json([r._asdict() for r in done])
        return
    for one in done:
        verb = "replayed" if one.moved else "left alone"
        click.echo(f"{one.exception_id[:8]}  {one.category}  {one.reference}  {verb}: {one.words}")
    click.echo(f"{sum(r.moved for r in done)} of {len(done)} replayed")


def _settle(exception_id: str, status: str, note: str) -> None:
    from revenue_assets import exception_queue
    from revenue_assets.acting import acting

    with acting() as session:
        exception_queue.settle(session.store, exception_id, status, actor=session.actor, note=note)
    click.echo(f"{exception_id} is {status.lower()}.")


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)  # what is shown came from outside
    console.width = max(console.width, 160)  # a redirected console says 80
    table = Table()
    for name in ("ID", "Status", "Class", "Owner", "Assignee", "Entity", "Period"):
        table.add_column(name, no_wrap=name == "ID")
    table.add_column("Amount", justify="right")
    table.add_column("Age", justify="right")
    table.add_column("Reference", overflow="fold")
    for r in rows:
        style = "red" if r["blocks_close"] and r["status"] == "Open" else None
        table.add_row(
            r["exception_id"][:8], r["status"], r["category"], r["owner_team"], r["assignee"] or "",
            r["entity_id"] or "", r["period"] or "", _amount(r), f"{r['age_days']} d", r["source_reference"] or "",
            style=style,
        )  # fmt: skip
    console.print(table)
    blocking = sum(bool(r["blocks_close"]) for r in rows)
    console.print(f"{len(rows)} exceptions, {blocking} block the close; red: those nobody has taken up yet")


def _amount(row: dict[str, Any]) -> str:
    if row["amount"] is None:
        return ""
    from decimal import Decimal

    from revenue_assets.checks.reconciliation import money
    from revenue_assets.state import currency_exponents

    digits = currency_exponents().get(row["currency"] or "", 2)

    return f"{money(Decimal(row['amount']).scaleb(-digits), digits)} {row['currency'] or ''}"


def _words(found: dict[str, Any]) -> list[str]:
    row, batch = found["exception"], found["batch"]
    facts = {
        "class": row["category"],
        "status": row["status"] + (f", assigned to {row['assignee']}" if row["assignee"] else ""),
        "owner": row["owner_team"],
        "age": f"{row['age_days']} days, since {row['opened_at']:%Y-%m-%d %H:%M} UTC"
        + (f", reopened {row['reopened']} times" if row["reopened"] else ""),
        "what": row["error_message"],
        "where": " ".join(str(v) for v in (row["entity_id"], row["period"], row["recon_id"]) if v),
        "amount": _amount(row),
        "reference": row["source_reference"],
        "customer": row["customer_id"],
        "chain": row["correlation_id"],
        "source event": row["source_event_id"],
        "ERP document": row["erp_document"],
        "blocks close": "yes" if row["blocks_close"] else "no",
        "note": row["resolution_note"],
        "next step": found["next_step"],
    }
    out = [f"Exception {row['exception_id']}", *(f"  {name:13}{value}" for name, value in facts.items() if value)]
    if batch:
        named = f"{found['outbox'].capitalize()} {row['idempotency_key']}"
        out.append(f"{named}: {batch['status']}, ERP company {batch['erp_company']}, key unchanged")
        for a in found["attempts"]:
            problem = f"  {a['error_class']}: {a['detail']}" if a["error_class"] else f"  {a['detail'] or ''}"
            out.append(
                f"  {a['at']:%Y-%m-%d %H:%M:%S}  no {a['attempt_no']}  {a['action']}: {a['outcome']}{problem}".rstrip()
            )
    for d in found["decisions"]:
        out.append(f"{d['decision'].capitalize()} by {d['checker']}, prepared by {d['maker']}: {d['reason']}")
    out.append("History")
    for h in found["history"]:
        out.append(f"  {h['at']:%Y-%m-%d %H:%M:%S}  link {h['link_no']}  {h['actor']}: {h['detail']}")
    return out


def _print_json(report: Any) -> None:
    click.echo(json.dumps(report, indent=2, default=str))
