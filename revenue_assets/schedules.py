"""When things run by themselves. Times are UTC."""

import dagster as dg

from revenue_assets.jobs import monthly_close_job, refresh_job
from revenue_assets.settings import running


def _status(name: str) -> dg.DefaultScheduleStatus:
    return dg.DefaultScheduleStatus.RUNNING if name in running() else dg.DefaultScheduleStatus.STOPPED


daily_refresh_schedule = dg.ScheduleDefinition(
    name="daily_refresh_schedule",
    job=refresh_job,
    cron_schedule="0 5 * * *",
    execution_timezone="UTC",
    default_status=_status("daily_refresh_schedule"),
)


@dg.schedule(
    job=monthly_close_job,
    cron_schedule="0 6 3 * *",
    execution_timezone="UTC",
    default_status=_status("monthly_close_schedule"),
)
def monthly_close_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """On the third of a month: closes the month before."""
    first = context.scheduled_execution_time.replace(day=1)
    previous = f"{first.year - (first.month == 1)}-{(first.month - 2) % 12 + 1:02d}"
    return dg.RunRequest(run_key=f"close:{previous}:{first:%Y-%m-%d}", partition_key=previous)


SCHEDULES = [daily_refresh_schedule, monthly_close_schedule]
