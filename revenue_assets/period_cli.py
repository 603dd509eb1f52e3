"""`revenue period ...`: the states of accounting periods. Closing one for good is `revenue close`."""

from __future__ import annotations

import json

import click

ENTITY = click.argument("entity")
PERIOD = click.argument("name", metavar="PERIOD")
REASON = click.option("--reason", required=True, help="Why; it is kept with the change.")


@click.group()
def period() -> None:
    """Which periods are open, soft closed or closed; close one softly, open one again."""


@period.command("list")
@click.option("--entity", help="Only this legal entity's.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def list_(entity: str | None, as_json: bool) -> None:
    """Every period with its state, who changed it last, why, and who approved that."""
    from revenue_assets.acting import reading
    from revenue_assets.state import calendars
    from revenue_assets.store import periods

    with reading() as session:
        own = calendars(session.settings.state)
        rows = [p for p in periods.all_periods(session.store, calendars=own) if entity in (None, p["entity_id"])]
    if as_json:
        kept = [{name: value for name, value in row.items() if name != "snapshot_json"} for row in rows]
        click.echo(json.dumps(kept, indent=2, default=str))
        return
    for row in rows:
        by = f"  {row['changed_by']} {row['changed_at']:%Y-%m-%d %H:%M}" if row["changed_by"] != "system" else ""
        approved = f", approved by {row['approver']}" if row["approver"] else ""
        why = f": {row['reason']}" if row["reason"] else ""
        click.echo(f"{row['entity_id']}  {row['period']}  {row['status'].replace('_', ' ')}{by}{approved}{why}")


@period.command("soft-close")
@ENTITY
@PERIOD
@REASON
def soft_close(entity: str, name: str, reason: str) -> None:
    """Source events of the period go to the first open one from now on; `revenue close` locks it later."""
    from revenue_assets.acting import acting
    from revenue_assets.store import periods

    with acting() as session:
        periods.soft_close(session.store, entity, name, session.actor, reason)
    click.echo(f"{name} of {entity} is soft closed.")


@period.command()
@ENTITY
@PERIOD
@REASON
@click.option("--requested-by", default="", help="Who wants it; for a closed period somebody else than you.")
def reopen(entity: str, name: str, reason: str, requested_by: str) -> None:
    """Open it again, newest first. A closed period takes two: you approve what somebody else requested.

    Where company.yaml names approvers of the entity, you must be one of them.
    """
    from revenue_assets.acting import acting
    from revenue_assets.domain.config import load_company
    from revenue_assets.store import approvals, periods

    with acting() as session:
        company = load_company(session.settings.config)
        approvals.adopt(session.store, company.approvals, actor=session.actor)
        approvals.reopen_period(
            session.store, entity, name, requested_by=requested_by.strip(), approver=session.actor, reason=reason
        )
        by = periods.history(session.store, entity, name)[-1]
    click.echo(f"{name} of {entity} is open: requested by {by['actor']}, approved by {by['approver'] or 'nobody'}.")
