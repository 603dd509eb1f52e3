"""Publish and close: the copy that finance reads, and the lock on a month."""

import dagster as dg

from revenue_assets import __version__
from revenue_assets.checks.reconciliation import statement_markdown
from revenue_assets.partitions import months
from revenue_assets.project import last_invocation
from revenue_assets.resources import WAREHOUSE_POOL, Platform

OWNER = "team:revenue-accounting"
EXCEPTIONS = dg.AssetKey(["reconciliation", "exceptions"])
PERIOD_CLOSE = dg.AssetKey(["close", "period_close"])
PUBLISHED = dg.AssetKey(["finance", "finance_serving"])
FINANCE_MODELS = (
    "recon_statement", "recon_item", "exception_queue", "posting_batch", "posting_line_trace", "rollforward", "tie_out",
    "document_links", "period_control", "close_task", "reporting_balance", "contract_balance",
    "shadow_comparison", "unposted",
)  # fmt: skip


@dg.asset(
    key=PUBLISHED,
    deps=[dg.AssetKey(["finance", name]) for name in FINANCE_MODELS],
    group_name="finance",
    kinds={"python", "duckdb"},
    owners=[OWNER],
    tags={"layer": "finance"},
    pool=WAREHOUSE_POOL,
)
def finance_serving(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    """The `finance` schema in a file of its own, swapped in one step: readers see the old or the new, never half."""
    from revenue_assets.publish.duckdb_file import publish
    from revenue_assets.publish.read import open_published

    settings = platform.settings
    report = publish(
        platform.store,
        settings.warehouse,
        settings.published,
        code_version=__version__,
        run_id=context.run_id,
        dbt_invocation_id=last_invocation(settings),
        rules_version=platform.company.content_hash,
        as_of=settings.as_of,
        required=FINANCE_MODELS,
    )
    platform.export_state()
    with open_published(settings.published) as connection:
        cursor = connection.execute("select * from finance.recon_statement order by all")
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return dg.MaterializeResult(
        metadata={
            "publish_id": report.publish_id,
            "path": dg.MetadataValue.path(str(settings.published)),
            "dagster/row_count": sum(report.row_counts.values()),
            "rows": dg.MetadataValue.json(report.row_counts),
            "statement": dg.MetadataValue.md(statement_markdown(rows)),
            "unexplained_abs": float(sum(abs(r["unexplained_amount"]) for r in rows)),
        }
    )


@dg.asset(
    key=EXCEPTIONS,
    deps=[dg.AssetKey(["reconciliation", "rec_exceptions"])],
    group_name="reconciliation",
    kinds={"python", "sqlite"},
    owners=[OWNER],
    tags={"layer": "reconciliation"},
    pool=WAREHOUSE_POOL,
)
def exceptions(platform: Platform) -> dg.MaterializeResult:
    """The exception queue of record: every open variance with a lasting identity, an owner, an age and a next step."""
    from revenue_assets.close.exceptions import sync_exceptions

    changes = sync_exceptions(platform.store, platform.settings.warehouse, platform.settings.state)
    platform.export_state()
    return dg.MaterializeResult(metadata={origin: dg.MetadataValue.json(vars(c)) for origin, c in changes.items()})


@dg.asset(
    key=PERIOD_CLOSE,
    deps=[PUBLISHED, EXCEPTIONS],
    partitions_def=months,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="close",
    kinds={"python"},
    owners=[OWNER],
    tags={"layer": "close", "cadence": "close"},
    pool=WAREHOUSE_POOL,
)
def period_close(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    """The lock on a month: every gate is looked at, red ones refuse with reasons, green ones lock the period.

    Several months close oldest first; the first refusal ends it. `publish_job` then shows readers the new states.
    """
    from revenue_assets.close.close import close_period

    entities = [e.id for e in platform.company.entities]
    reports = []
    for period in sorted(context.partition_keys):
        settings = platform.settings
        report = close_period(
            platform.store,
            platform.journal,
            settings.warehouse,
            settings.state,
            period,
            entities,
            f"run {context.run_id[:8]}",
            as_of=settings.as_of,
        )
        reports.append(report)
        context.log.info(report.sentence())
        if not report.closed:
            break
    platform.export_state()
    metadata = {
        "gates": dg.MetadataValue.md("\n\n".join(r.markdown() for r in reports)),
        "closed": dg.MetadataValue.json([r.period for r in reports if r.closed]),
    }
    if not reports[-1].closed:
        raise dg.Failure(description=reports[-1].sentence(), metadata=metadata)
    return dg.MaterializeResult(metadata=metadata)


FINANCE_ASSETS = [finance_serving, exceptions, period_close]
