"""Publish and close: the copy that finance reads, and the lock on a month."""

from __future__ import annotations

import dagster as dg

from revenue_assets.checks.reconciliation import statement_markdown
from revenue_assets.partitions import months
from revenue_assets.resources import WAREHOUSE_POOL, Platform

OWNER = "team:revenue-accounting"
PUBLISHED = dg.AssetKey(["finance", "finance_serving"])
FINANCE_MODELS = (
    "recon_statement",
    "recon_item",
    "exception_queue",
    "posting_batch",
    "posting_line_trace",
    "rollforward",
    "tie_out",
)


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
    report = platform.publish(context.run_id)
    with platform.published() as connection:
        cursor = connection.execute(
            "select * from finance.recon_statement order by recon_code, period desc, entity_code"
        )
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return dg.MaterializeResult(
        metadata={
            "publish_id": report.publish_id,
            "path": dg.MetadataValue.path(str(platform.settings.published)),
            "dagster/row_count": sum(report.row_counts.values()),
            "rows": dg.MetadataValue.json(report.row_counts),
            "statement": dg.MetadataValue.md(statement_markdown(rows)),
            "unexplained_abs": float(sum(abs(r["unexplained_amount"]) for r in rows)),
        }
    )


@dg.asset(
    key=["close", "period_close"],
    deps=[PUBLISHED],
    partitions_def=months,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="close",
    kinds={"python"},
    owners=[OWNER],
    tags={"layer": "close", "cadence": "close"},
    pool=WAREHOUSE_POOL,
)
def period_close(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    """The lock on a month: every gate is looked at, red ones refuse with reasons, green ones lock the period."""
    reports = platform.close(sorted(context.partition_keys), actor=f"dagster run {context.run_id[:8]}")
    refused = [r for r in reports if not r.closed]
    metadata = {
        "gates": dg.MetadataValue.md("\n\n".join(r.markdown() for r in reports)),
        "closed": [r.period for r in reports if r.closed],
        "refused": [r.period for r in refused],
    }
    if refused:
        raise dg.Failure(description="\n".join(r.sentence() for r in refused), metadata=metadata)
    return dg.MaterializeResult(metadata=metadata)


FINANCE_ASSETS = [finance_serving, period_close]
