"""Read-back: what the ERP says it holds, landed like any other source."""

import dagster as dg

from revenue_assets.assets.landing import landing_metadata, landing_writer
from revenue_assets.assets.posting import ERP_DOCUMENTS
from revenue_assets.landing.run import land
from revenue_assets.resources import ERP_POOL, Platform
from revenue_assets.state import READ_BACK
from revenue_assets.store.cursors import StoredCursors

DESCRIPTIONS = {
    "move": "One journal of the ERP with its lines, ours or anybody's, as it stands now.",
    "account_balance": "One account's debit, credit and balance in one period of the ERP.",
    "period": "One accounting period of the ERP and its state.",
}


def read_back_assets(vendor: str) -> dg.AssetsDefinition:
    """The ERP's journals, balances and periods after posting; the reconciliations compare against them."""

    @dg.multi_asset(
        name="landing_erp",
        specs=[
            dg.AssetSpec(
                ["landing", READ_BACK, name],
                deps=[ERP_DOCUMENTS],
                description=description,
                group_name="read_back",
                kinds={"python", "parquet"},
                owners=["team:integration"],
                tags={"vendor": vendor, "layer": "landing"},
                skippable=True,
            )
            for name, description in DESCRIPTIONS.items()
        ],
        can_subset=True,
        pool=ERP_POOL,
    )
    def _read_back(context: dg.AssetExecutionContext, platform: Platform):
        writer = landing_writer(platform, context.run_id)
        source = platform.erp_source()
        selected = [
            name for name in DESCRIPTIONS if dg.AssetKey(["landing", READ_BACK, name]) in context.selected_asset_keys
        ]
        for result in land(source, selected, writer, StoredCursors(platform.store), platform.now()):
            yield dg.MaterializeResult(["landing", READ_BACK, result.object], metadata=landing_metadata([result]))

    return _read_back
