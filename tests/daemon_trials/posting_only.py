"""The shipping posting assets, job and sensors without the rest of the graph, whose dbt project takes long to parse."""

import dagster as dg

from revenue_assets.assets.posting import ERP_DOCUMENTS, POSTING_ASSETS
from revenue_assets.jobs import erp_posting_job
from revenue_assets.resources import Platform
from revenue_assets.sensors import dead_runs_sensor, ready_batches_sensor

defs = dg.Definitions(
    assets=[asset for asset in POSTING_ASSETS if asset.key == ERP_DOCUMENTS],
    jobs=[erp_posting_job],
    sensors=[dead_runs_sensor, ready_batches_sensor],
    resources={"platform": Platform()},
    executor=dg.in_process_executor,
)
