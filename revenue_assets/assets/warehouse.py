"""The dbt project as Dagster assets, in two halves so that the graph has no circle.

`before_posting`: all that can be known before the ERP answers; its tests gate the booking. `after_posting`: what
compares with the ERP's answer, and the published `finance` models.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets

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
        forget_old_runs(platform.settings)
        write_config_state(platform.company, platform.settings.state)
        yield from dbt.cli(BUILD, context=context).stream()

    @dbt_assets(
        manifest=manifest,
        select="tag:after_posting",
        name="warehouse_after_posting",
        dagster_dbt_translator=translator,
        project=project,
        pool=WAREHOUSE_POOL,
    )
    def _after_posting(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
        yield from dbt.cli(BUILD, context=context).stream()

    return [_before_posting, _after_posting]
