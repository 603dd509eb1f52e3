"""Landing: one asset per vendor object, for all connected systems of that vendor.

Does not belong here: anything about a vendor's API (`sources/`) or about files (`landing/`).
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from revenue_assets.landing.files import ensure_readable
from revenue_assets.landing.run import land
from revenue_assets.landing.writer import LandingResult, LandingWriter
from revenue_assets.resources import Platform
from revenue_assets.sources.catalogue import DESCRIPTIONS, objects_of
from revenue_assets.store.cursors import StoredCursors
from revenue_assets.store.landing import BatchRegister

OWNER = "team:revenue-data"


def landing_key(vendor: str, object_name: str) -> dg.AssetKey:
    return dg.AssetKey(["landing", vendor, object_name])


def landing_assets(vendor: str) -> dg.AssetsDefinition:
    """The assets of one vendor: every object of every source instance of that vendor, as received, append-only."""
    objects = objects_of(vendor)

    @dg.multi_asset(
        name=f"landing_{vendor}",
        specs=[
            dg.AssetSpec(
                landing_key(vendor, name),
                description=DESCRIPTIONS[vendor][name],
                group_name="landing",
                kinds={"python", "parquet"},
                owners=[OWNER],
                tags={"vendor": vendor, "layer": "landing"},
                skippable=True,
            )
            for name in objects
        ],
        can_subset=True,
        op_tags={"vendor": vendor},
    )
    def _land(context: dg.AssetExecutionContext, platform: Platform) -> Iterator[dg.MaterializeResult]:
        selected = [o for o in objects if landing_key(vendor, o) in context.selected_asset_keys]
        results: dict[str, list[LandingResult]] = {name: [] for name in selected}
        for instance in platform.company.sources_of(vendor):
            source = platform.source(instance)
            for result in land(
                source,
                selected,
                landing_writer(platform, context.run_id),
                StoredCursors(platform.store),
                platform.now(),
            ):
                results[result.object].append(result)
            context.log.info("%s: landed %s objects", instance.name, len(selected))
        ensure_readable(platform.settings.landing, selected)
        for name in selected:
            yield dg.MaterializeResult(landing_key(vendor, name), metadata=landing_metadata(results[name]))

    return _land


def landing_writer(platform: Platform, run_id: str) -> LandingWriter:
    """The writer of a run; every file it writes is entered in the operational store, with its control totals."""
    settings = platform.settings
    return LandingWriter(settings.landing, settings.quarantine, run_id, register=BatchRegister(platform.store))


def landing_metadata(results: list[LandingResult]) -> dict[str, Any]:
    totals = {r.source: {b.batch_id: b.control_totals for b in r.batches if not b.quarantined} for r in results}
    return {
        "dagster/row_count": sum(r.rows_landed for r in results),
        "rows_read": sum(r.rows_read for r in results),
        "rows_unchanged": sum(r.rows_unchanged for r in results),
        "rows_quarantined": sum(r.rows_quarantined for r in results),
        "control_totals": dg.MetadataValue.json(totals),
    }
