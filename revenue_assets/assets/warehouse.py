"""The dbt project as Dagster assets, in two halves so that the graph has no circle.

`before_posting`: all that can be known before the ERP answers; its tests gate the booking. `after_posting`: what
compares with the ERP's answer, and the published `finance` models.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from dagster_dbt import DbtCliInvocation, DbtCliResource, DbtProject, dbt_assets

from revenue_assets.project import forget_old_runs
from revenue_assets.resources import WAREHOUSE_POOL, Platform
from revenue_assets.state import write_config_state
from revenue_assets.translator import RevenueDbtTranslator

# No `--vars`: the cut-off comes from the environment, and any other argument would void dbt's saved parse.
BUILD = ["build"]


def warehouse_assets(manifest: Path, project: DbtProject) -> list[dg.AssetsDefinition]:
    """Both halves of the dbt project; dbt tests become asset checks, those of severity error block."""
    translator = RevenueDbtTranslator()

    @dbt_assets(
        manifest=manifest,
        select="tag:before_posting",
        exclude="tag:after_posting",
        name="warehouse_before_posting",
        dagster_dbt_translator=translator,
        project=project,
        pool=WAREHOUSE_POOL,
    )
    def _before_posting(context: dg.AssetExecutionContext, dbt: DbtCliResource, platform: Platform) -> Iterator[Any]:
        platform.await_warehouse()
        forget_old_runs(platform.settings)
        write_config_state(platform.company, platform.settings.state)
        platform.keep_rules()
        platform.export_state()
        yield from _with_row_counts(dbt.cli(BUILD, context=context, raise_on_error=False), platform)

    @dbt_assets(
        manifest=manifest,
        select="tag:after_posting",
        name="warehouse_after_posting",
        dagster_dbt_translator=translator,
        project=project,
        pool=WAREHOUSE_POOL,
    )
    def _after_posting(context: dg.AssetExecutionContext, dbt: DbtCliResource, platform: Platform) -> Iterator[Any]:
        platform.await_warehouse()
        yield from _with_row_counts(dbt.cli(BUILD, context=context, raise_on_error=False), platform)

    return [_before_posting, _after_posting]


def _with_row_counts(invocation: DbtCliInvocation, platform: Platform) -> Iterator[Any]:
    """The events of a dbt run, each model's with its row count; then the run's failure, if it failed.

    Rows are counted once dbt has let go of the file (its own row counting keeps a handle open in this process, on
    which every later connection fails). Events wait until then; a failed test's check result is yielded before the
    failure is raised, so that the UI shows what is red.
    """
    events = list(invocation.stream())
    with platform.warehouse() as connection:
        for event in events:
            if isinstance(event, dg.Output):
                schema, _, name = event.output_name.partition("__")
                rows = connection.execute(f'select count(*) from "{schema}"."{name}"').fetchall()[0][0]
                event = event.with_metadata({**event.metadata, "dagster/row_count": rows})
            yield event
    if not invocation.is_successful():
        error = invocation.get_error() or dg.Failure("dbt failed; its log stands in the run's folder under dbt/target.")
        with platform.warehouse() as connection:
            findings = landing_findings(connection)
        if findings:
            raise dg.Failure(
                "What landed is not whole (R17, Data platform); nothing is booked until the files are restored. "
                + " ".join(findings)
            ) from error
        raise error


def landing_findings(connection: duckdb.DuckDBPyConnection, shown: int = 5) -> list[str]:
    """Sentences that name the landing batches, and rows, which are not as they were received."""
    query = f"""
        select distinct reference || ': ' || explanation as finding
        from reconciliation.rec_r17 where variance_class is not null order by 1 limit {shown + 1}
    """
    try:
        found = [str(row[0]) for row in connection.execute(query).fetchall()]
    except duckdb.CatalogException:
        return []  # the build failed before this reconciliation ever ran
    return found[:shown] + (["And more."] if len(found) > shown else [])
