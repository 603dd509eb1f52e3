"""One dbt build over the loaded cases, in a scratch home of its own."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

from revenue_assets.domain.calendars import VARIABLE, variable
from revenue_assets.settings import shipped
from revenue_assets.state import calendars

PROJECT = shipped("dbt_project")
# Every table that a section of a case is compared with, and all they need.
SELECTION = (
    "+journal_lines", "+erp_schedule_parts", "+posting_exceptions", "+obligation_prices", "+rollforwards",
    "+posting_summaries", "+reporting_balances", "+contract_balances", "+expected_charges", "+event_exceptions",
    "+rec_statements",
)  # fmt: skip


class BuildError(RuntimeError):
    """dbt did not finish; the message is the tail of what it said."""


def build(work_dir: Path, as_of: dt.date, *, selection: tuple[str, ...] = SELECTION, project: Path = PROJECT) -> Path:
    """Runs `dbt run` over `work_dir` (landing/, state/ already written) and returns the warehouse file.

    Calendars of weeks are those of the entities in state/.

    Raises BuildError if a model fails: a case that cannot be built is not a case that fails.
    """
    warehouse = work_dir / "warehouse" / "revenue.duckdb"
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    warehouse.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "REVENUE_WAREHOUSE": str(warehouse),
        "REVENUE_LANDING": str(work_dir / "landing"),
        "REVENUE_STATE": str(work_dir / "state"),
        "REVENUE_JOURNAL": str(work_dir / "journal"),
        "REVENUE_AS_OF": as_of.isoformat(),
        VARIABLE: variable(calendars(work_dir / "state").items()),
        "DBT_TARGET_PATH": str(work_dir / "target"),
        "DBT_LOG_PATH": str(work_dir / "logs"),
    }
    command = [
        str(Path(sys.executable).with_name("dbt")), "run",
        "--project-dir", str(project), "--profiles-dir", str(project),
        "--vars", json.dumps({"event_sources": ["cloudevents"]}), "--select", *selection,
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise BuildError("dbt could not build the cases:\n" + "\n".join(done.stdout.splitlines()[-60:]))
    return warehouse
