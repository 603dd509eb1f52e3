"""The dbt project as Dagster assets, in two halves so that the graph has no circle.

`before_posting`: all that can be known before the ERP answers; its tests gate the booking. `after_posting`: what
compares with the ERP's answer, and the published `finance` models.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets

from revenue_assets.project import dbt_project
from revenue_assets.resources import WAREHOUSE_POOL, Platform
from revenue_assets.state import write_config_state
from revenue_assets.translator import RevenueDbtTranslator


def dbt_arguments(as_of: str, event_sources: list[str] | None = None) -> list[str]:
    """Command line of one `dbt build`. Pure, so that tests need no dbt."""
    variables: dict[str, Any] = {"as_of": as_of}
    if event_sources is not None:
        variables["event_sources"] = event_sources
    return ["build", "--vars", json.dumps(variables)]


def warehouse_assets(manifest: Path | Mapping[str, Any]) -> list[dg.AssetsDefinition]:
    """Both halves of the dbt project; dbt tests become asset checks, those of severity error block."""
    translator, project = RevenueDbtTranslator(), dbt_project()

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
        write_config_state(platform.company, platform.settings.state)
        yield from dbt.cli(dbt_arguments(platform.settings.as_of.isoformat()), context=context).stream()

    @dbt_assets(
        manifest=manifest,
        select="tag:after_posting",
        name="warehouse_after_posting",
        dagster_dbt_translator=translator,
        project=project,
        pool=WAREHOUSE_POOL,
    )
    def _after_posting(context: dg.AssetExecutionContext, dbt: DbtCliResource, platform: Platform) -> Iterator[Any]:
        yield from dbt.cli(dbt_arguments(platform.settings.as_of.isoformat()), context=context).stream()

    return [_before_posting, _after_posting]
