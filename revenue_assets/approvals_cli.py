"""`revenue approvals ...`: what waits for a second person, and their decision."""

from __future__ import annotations

import json
from typing import Any

import click

REASON = click.option("--reason", required=True, help="Why; it is kept with the decision.")
IDENTIFIER = click.argument("id_", metavar="ID")


@click.group()
def approvals() -> None:
    """What waits for a second person: batches above the limit, material entries of closed periods."""


@approvals.command("list")
@click.option("--decided", is_flag=True, help="The decisions so far instead.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def list_(decided: bool, as_json: bool) -> None:
    """What waits, oldest first: who prepared it, what it amounts to, which limit it exceeds."""
    from revenue_assets.acting import reading
    from revenue_assets.store import approvals as store_approvals

    with reading() as session:
        rows = (
            store_approvals.decisions(session.store)
            if decided
            else [{"id": w.id, **w._asdict()} for w in store_approvals.waiting(session.store)]
        )
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str))
        return
    for row in rows:
        click.echo(_decided(row) if decided else _waits(row))
    click.echo(f"{len(rows)} {'decisions' if decided else 'wait for a second person'}")


@approvals.command()
@IDENTIFIER
@REASON
def approve(id_: str, reason: str) -> None:
    """Let it go on: the batch is posted by the next posting run, the entry is booked by the next booking."""
    _decide(id_, "approved", reason)


@approvals.command()
@IDENTIFIER
@REASON
def reject(id_: str, reason: str) -> None:
    """Never post it. It becomes an exception with owner and next step; the correction comes from its source."""
    _decide(id_, "rejected", reason)


def _decide(id_: str, decision: str, reason: str) -> None:
    from revenue_assets.acting import acting
    from revenue_assets.domain.config import load_company
    from revenue_assets.settings import login
    from revenue_assets.store import approvals as store_approvals

    with acting() as session:
        company = load_company(session.settings.config)
        store_approvals.adopt(session.store, company.approvals, actor=session.actor)
        one = store_approvals.decide(
            session.store, id_, decision, checker=session.actor, reason=reason, os_login=login()
        )  # fmt: skip
    click.echo(f"{one.subject} of {one.entity_id} is {decision} by {session.actor}.")


def _waits(row: dict[str, Any]) -> str:
    limit = f" above {row['limit']}" if row["limit"] is not None else ""
    return (
        f"{row['id'][:8]}  {row['since']:%Y-%m-%d %H:%M}  {row['entity_id']} {row['period'] or ''}  {row['what']}  "
        f"{row['amount']} {row['currency']} (minor units){limit}  prepared by {row['maker']}"
    )


def _decided(row: dict[str, Any]) -> str:
    return (
        f"{row['at']:%Y-%m-%d %H:%M}  {row['subject']}  {row['entity_id']}  {row['amount']} {row['currency']}  "
        f"{row['decision']} by {row['checker']} (login {row['os_login']}), prepared by {row['maker']}: {row['reason']}"
    )
