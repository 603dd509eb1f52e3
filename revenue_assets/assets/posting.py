"""Booking and posting: journal of record, batches, schedules, documents. What the store decides, these only call."""

from typing import Any

import dagster as dg

from revenue_assets.resources import ERP_POOL, WAREHOUSE_POOL, Platform

OWNER = "team:revenue-accounting"
# Longer than the ERP's settle time: what an earlier process left unclear is looked up in this run, not in the next.
SETTLE_WAIT_SECONDS = 120.0
JOURNAL_OF_RECORD = dg.AssetKey(["posting", "journal_of_record"])
POSTING_BATCHES = dg.AssetKey(["posting", "posting_batches"])
REVENUE_SCHEDULES = dg.AssetKey(["posting", "revenue_schedules"])
ERP_DOCUMENTS = dg.AssetKey(["posting", "erp_documents"])
# Customers' names and countries and invoices' numbers go into documents and dimensions (`posting.details.masters`).
MASTERS = [dg.AssetKey(["canonical", "can_customers"]), dg.AssetKey(["canonical", "can_invoices"])]


@dg.asset(
    key=JOURNAL_OF_RECORD,
    # The others are not read; their checks gate the booking in every job, also where nothing else is selected.
    deps=[
        dg.AssetKey(["subledger", "journal_lines"]),
        dg.AssetKey(["subledger", "posting_summaries"]),
        dg.AssetKey(["subledger", "rollforwards"]),
        dg.AssetKey(["subledger", "contract_balances"]),
        dg.AssetKey(["reconciliation", "rec_r17"]),
    ],
    group_name="posting",
    kinds={"python", "parquet"},
    owners=[OWNER],
    tags={"layer": "posting"},
    pool=WAREHOUSE_POOL,
)
def journal_of_record(platform: Platform) -> dg.MaterializeResult:
    """Every journal line ever booked, append-only: what should exist minus what is booked, by whole entries.

    A changed or vanished entry is reversed and booked again; closed periods are never touched.
    """
    from revenue_assets.posting.booking import book

    settings = platform.settings
    report = book(platform.store, platform.journal, settings.warehouse, settings.state, settings.as_of)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.lines,
            "booking_id": report.booking_id or "nothing to book",
            "entries_booked": report.entries_booked,
            "entries_reversed": report.entries_reversed,
            "prior_period_lines": report.prior_period_lines,
            "held": dg.MetadataValue.json(report.held),
            "left_to_erp": report.left_to_erp,
            "control_totals": dg.MetadataValue.json(report.control_totals),
        }
    )


class CutConfig(dg.Config):
    """`tick`: a run of near_real_time_sensor, which also takes what is delivered near real time."""

    tick: bool = False


class PostingConfig(dg.Config):
    """`companies`: the ERP companies that this run serves; none named: all."""

    companies: list[str] = []  # noqa: RUF012 - a Dagster config is a model


@dg.asset(
    key=POSTING_BATCHES,
    deps=[JOURNAL_OF_RECORD, *MASTERS],
    group_name="posting",
    kinds={"python", "sqlite"},
    owners=[OWNER],
    tags={"layer": "posting"},
    pool=WAREHOUSE_POOL,
)
def posting_batches(config: CutConfig, platform: Platform) -> dg.MaterializeResult:
    """Booked lines without a batch, made into ERP documents as posting.yaml says; by default summarised per entity,
    period and event class."""
    from revenue_assets.posting.batches import cut
    from revenue_assets.state import write_config_state
    from revenue_assets.store import approvals

    settings = platform.settings
    write_config_state(platform.company, settings.state)
    platform.keep_rules()
    approvals.adopt(platform.store, platform.company.approvals, actor=platform.store.actor)
    report = cut(
        platform.store,
        platform.journal,
        settings.state,
        settings.as_of,
        tenant=platform.company.id,
        warehouse=settings.warehouse,
        tick=config.tick,
    )
    platform.export_state()
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.batches,
            "cut_id": report.cut_id or "nothing to cut",
            "document_lines": report.lines,
            "members": report.members,
            "held_lines": report.held_lines,
            "missing_mappings": dg.MetadataValue.json(report.missing),
            "waiting": dg.MetadataValue.json(report.waiting),
            "shadow_batches": report.shadow_batches,
            "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in report.notes) or "none"),
        }
    )


@dg.asset(
    key=REVENUE_SCHEDULES,
    # What we booked before the ERP took over is not the ERP's to recognise.
    deps=[JOURNAL_OF_RECORD, dg.AssetKey(["subledger", "erp_schedule_parts"]), *MASTERS],
    group_name="posting",
    kinds={"python", "sqlite"},
    owners=[OWNER],
    tags={"layer": "posting"},
    pool=WAREHOUSE_POOL,
)
def revenue_schedules(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    """Each change of a revenue schedule that the ERP runs (`schedules_owner: erp`), as a version in the outbox."""
    from revenue_assets.posting.schedules.plan import plan
    from revenue_assets.state import write_config_state

    settings = platform.settings
    write_config_state(platform.company, settings.state)
    ports = platform.erp_ports() if any(e.schedules_owner == "erp" for e in platform.company.entities) else {}
    report = plan(
        platform.store, platform.journal, settings.warehouse, settings.state, ports, tenant=platform.company.id
    )
    platform.export_state()
    for words in report.not_sent.values():
        context.log.warning(words)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.planned,
            **{name: getattr(report, name) for name in ("schedules", "ended", "superseded", "held")},
            "missing_mappings": dg.MetadataValue.json(report.missing),
            "not_sent": dg.MetadataValue.json(report.not_sent),
        }
    )


@dg.asset(
    key=ERP_DOCUMENTS,
    deps=[POSTING_BATCHES, REVENUE_SCHEDULES],
    group_name="posting",
    kinds={"python", "erp"},
    owners=["team:integration"],
    tags={"layer": "posting"},
    op_tags={"erp": "all"},
    pool=ERP_POOL,
)
def erp_documents(context: dg.AssetExecutionContext, config: PostingConfig, platform: Platform) -> dg.MaterializeResult:
    """Every batch of the outbox in the ERP exactly once: intent first, look up what is unclear, read back, verify; then
    in the same way the revenue schedules that the ERP runs."""
    from revenue_assets.posting import outbox
    from revenue_assets.posting.limits import limits_of
    from revenue_assets.posting.schedules import outbox as schedules

    ports = platform.erp_ports()
    how: dict[str, Any] = {
        "limits": limits_of(platform.company.erp.limits, max_wait_seconds=SETTLE_WAIT_SECONDS),
        "companies": config.companies or None,
        "progress": lambda company: context.log.info("%s", company),
    }
    report = outbox.drain(platform.store, ports, **how)
    told = schedules.drain(platform.store, ports, **how)
    platform.export_state()
    if any(company.stopped for company in report.companies + told.companies):
        raise dg.Failure("Posting was stopped by a signal, between two requests; the next run goes on from there.")
    if report.total("dead") or report.unserved:
        context.log.warning("dead batches: %s; companies without an ERP: %s", report.total("dead"), report.unserved)
    if told.total("dead") or told.unserved:
        context.log.warning("dead schedules: %s; companies whose ERP takes none: %s", told.total("dead"), told.unserved)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.total("verified"),
            **{name: report.total(name) for name in ("sent", "found", "dead", "waiting")},
            **{f"schedules_{name}": told.total(name) for name in ("verified", "sent", "dead", "waiting")},
            "companies": dg.MetadataValue.json([{**vars(c), "next_due": str(c.next_due)} for c in report.companies]),
        }
    )


POSTING_ASSETS = [journal_of_record, posting_batches, revenue_schedules, erp_documents]
