"""What is run together. Selections only; the work is in the assets."""

from __future__ import annotations

from typing import Any

import dagster as dg

from revenue_assets.assets.finance import PERIOD_CLOSE
from revenue_assets.assets.posting import ERP_DOCUMENTS, POSTING_BATCHES
from revenue_assets.checks.reconciliation import CHECK, CODES, reconciliation_key
from revenue_assets.partitions import months
from revenue_assets.replay_job import exception_replay_job

# Their sensors ask again for what came to nothing; a retry of Dagster's besides would be a second run of the same work.
_NO_RETRIES = {"dagster/max_retries": "0"}
erp_posting_job = dg.define_asset_job(
    "erp_posting_job",
    selection=dg.AssetSelection.assets(ERP_DOCUMENTS),
    description="Posts what the outbox holds, reads it back and verifies it. Triggered by ready_batches_sensor.",
    tags={"erp": "all", **_NO_RETRIES},
)
near_real_time_job = dg.define_asset_job(
    "near_real_time_job",
    selection=dg.AssetSelection.assets(POSTING_BATCHES),
    description="Cuts what posting.yaml delivers near real time. Triggered by near_real_time_sensor.",
    tags=_NO_RETRIES,
)
daily_posting_job = dg.define_asset_job(
    "daily_posting_job",
    # What landed is reconciled before it is booked (R17); the statements of the reconciliations come with a refresh.
    selection=dg.AssetSelection.assets(ERP_DOCUMENTS).upstream()
    - dg.AssetSelection.checks(*(dg.AssetCheckKey(reconciliation_key(code), CHECK) for code in CODES)),
    description="Lands every source, rebuilds the subledger, books the difference and posts it.",
)
refresh_job = dg.define_asset_job(
    "refresh_job",
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets(PERIOD_CLOSE),
    description="Everything but the lock: land, model, book, post, read back, reconcile, publish.",
)
publish_job = dg.define_asset_job(
    "publish_job",
    selection=dg.AssetSelection.groups("finance").without_checks(),
    description="Rebuilds the finance models with today's exceptions and period states, and publishes them.",
)
monthly_close_job = dg.define_asset_job(
    "monthly_close_job",
    selection=dg.AssetSelection.all(),
    partitions_def=months,
    description="All of it for a month: refuses while a gate is red, else locks the period.",
    tags={"cadence": "close"},
)

JOBS: list[Any] = [  # asset jobs and an op job have no class of Dagster's public ones in common
    erp_posting_job,
    near_real_time_job,
    daily_posting_job,
    refresh_job,
    publish_job,
    monthly_close_job,
    exception_replay_job,
]
