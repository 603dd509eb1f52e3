"""Blocking Great Expectations contracts at the edge: what has landed is complete and has the agreed shape."""

from collections.abc import Iterator

import dagster as dg

from revenue_assets.assets.landing import landing_key
from revenue_assets.resources import Platform
from revenue_assets.sources.catalogue import objects_of

CHECK = "contract_holds"


def contract_checks(vendor: str) -> dg.AssetChecksDefinition:
    """One blocking check per landed object of the vendor; red stops everything downstream of landing."""
    objects = objects_of(vendor)

    @dg.multi_asset_check(
        name=f"landing_{vendor}_contracts",
        specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=landing_key(vendor, name),
                blocking=True,
                description="Required fields are there, ids are unique, amounts are whole, stamps parse, "
                "and the rows landed are the rows the control total names.",
            )
            for name in objects
        ],
        can_subset=True,
    )
    def _check(context: dg.AssetCheckExecutionContext, platform: Platform) -> Iterator[dg.AssetCheckResult]:
        # Great Expectations costs 10-14 CPU seconds to import: here, never when the code location loads.
        from revenue_assets.landing.contracts import check_contract

        sources = [i.name for i in platform.company.sources_of(vendor)]
        selected = {key.asset_key for key in context.selected_asset_check_keys}
        for name in objects:
            if landing_key(vendor, name) not in selected:
                continue
            result = check_contract(platform.settings.landing, sources, vendor, name)
            yield dg.AssetCheckResult(
                passed=result.success,
                check_name=CHECK,
                asset_key=landing_key(vendor, name),
                severity=dg.AssetCheckSeverity.ERROR,
                description=result.sentence(),
                metadata={"statistics": result.statistics, "failing_rows": dg.MetadataValue.json(result.failing_rows)},
            )

    return _check
