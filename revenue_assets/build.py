"""Assembly of the code location. Tests and the command line call `build_defs` with what they want replaced."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import dagster as dg

from revenue_assets.assets.erp import read_back_assets
from revenue_assets.assets.finance import FINANCE_ASSETS
from revenue_assets.assets.landing import landing_assets
from revenue_assets.assets.posting import POSTING_ASSETS
from revenue_assets.assets.warehouse import warehouse_assets
from revenue_assets.checks.contracts import contract_checks
from revenue_assets.checks.reconciliation import reconciliation_checks
from revenue_assets.domain.calendars import VARIABLE, variable
from revenue_assets.domain.config import VENDORS, load_company
from revenue_assets.jobs import JOBS
from revenue_assets.project import dbt_project, dbt_resource, ensure_manifest
from revenue_assets.resources import Platform
from revenue_assets.runs import progress
from revenue_assets.schedules import SCHEDULES
from revenue_assets.sensors import SENSORS
from revenue_assets.settings import Settings, SettingsError, running


def build_defs(*, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """All definitions. Touches no store, vendor or key: it loads without any outside system running."""
    known = {sensor.name for sensor in SENSORS} | {schedule.name for schedule in SCHEDULES}
    if unknown := running() - known:
        raise SettingsError(
            f"REVENUE_RUNNING names {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}."
        )
    settings = Settings.load()
    settings.prepare()
    company = load_company(settings.config)
    os.environ["REVENUE_GROUP_CURRENCY"] = company.group_currency  # dbt reads both at parse and at run
    os.environ[VARIABLE] = variable((e.id, e.periods) for e in company.entities)
    # All vendors land, whether this company has an instance of them or not: the SQL reads their (then empty) files.
    return dg.Definitions(
        assets=[
            *(landing_assets(vendor) for vendor in VENDORS),
            *warehouse_assets(ensure_manifest(settings), dbt_project(settings)),
            *POSTING_ASSETS,
            read_back_assets(company.erp.vendor),
            *FINANCE_ASSETS,
        ],
        asset_checks=[*(contract_checks(vendor) for vendor in VENDORS), reconciliation_checks()],
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=SENSORS,
        resources={"platform": Platform(), "dbt": dbt_resource(settings), **(resource_overrides or {})},
        executor=dg.in_process_executor,
        loggers={"console": dg.colored_console_logger, "progress": progress},
    )
