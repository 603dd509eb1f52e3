"""Months: the only partition there is. Entities are a column, not a partition."""

from __future__ import annotations

import dagster as dg

FIRST_PERIOD = "2018-01"

# end_offset=1: the running month can be looked at before it is over; the close itself refuses to lock it.
months = dg.TimeWindowPartitionsDefinition(start=FIRST_PERIOD, fmt="%Y-%m", cron_schedule="0 0 1 * *", end_offset=1)
