"""The processor's own balance per month, from its Reporting API: the outside proof of the balance roll-forward.

A report is ordered (POST), waited for, and fetched as a CSV file: `category,description,net_amount,currency` with
amounts as decimal text in major units. One landed record per month and currency.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

from revenue_assets.domain import strict_json
from revenue_assets.sources.base import Cursor, Page, Record, Rejected, SourceError, SourceUnavailable
from revenue_assets.sources.stripe.client import StripeReader

REPORT = "balance.summary.1"
MONTHS_AGAIN = 2  # the youngest finished months are asked for again: the vendor may still complete them
MONTHS_MAX = 600
POLL_SECONDS_MIN = 0.25
POLL_SECONDS_MAX = 10.0
WAIT_SECONDS_MAX = 600.0
_CATEGORIES = ("starting_balance", "ending_balance")


def balance_report_pages(
    reader: StripeReader, time_zone: str, cursor: Cursor | None, now: dt.datetime, sleep: Callable[[float], None]
) -> Iterator[Page]:
    """One page per finished month the vendor has data for. Cursor: `{"through": "YYYY-MM"}`."""
    zone = ZoneInfo(time_zone)
    available = _json(reader, "get", f"/v1/reporting/report_types/{REPORT}")
    first = dt.datetime.fromtimestamp(int(available["data_available_start"]), zone)
    until = min(now, dt.datetime.fromtimestamp(int(available["data_available_end"]), dt.UTC))
    months = _finished_months(first, until, zone)
    through = (cursor or {}).get("through")
    if through is not None:
        known = [month for month in months if f"{month:%Y-%m}" <= through]
        months = months[max(0, len(known) - MONTHS_AGAIN) :]
    # All reports are ordered first: the vendor makes them side by side while we wait for the first.
    ordered = [(month, _order(reader, month, max(month, first))) for month in months]
    for month, run in ordered:
        records, rejected = _records(f"{month:%Y-%m}", _fetch(reader, month, run, sleep))
        yield Page("balance_report", records, {}, rejected=rejected)
    yield Page("balance_report", [], {"through": f"{months[-1]:%Y-%m}" if months else through})


def _finished_months(first: dt.datetime, until: dt.datetime, zone: ZoneInfo) -> list[dt.datetime]:
    """Starts of the months that are over at `until`, from the first one of which the account has data."""
    month = dt.datetime(first.year, first.month, 1, tzinfo=zone)
    found: list[dt.datetime] = []
    while _next(month) <= until and len(found) < MONTHS_MAX:
        found.append(month)
        month = _next(month)
    return found


def _next(month: dt.datetime) -> dt.datetime:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def _order(reader: StripeReader, month: dt.datetime, start: dt.datetime) -> dict[str, Any]:
    """Orders the report of one month; `start` is later than its first instant only for the account's first month."""
    parameters = {
        "interval_start": int(start.timestamp()),
        "interval_end": int(_next(month).timestamp()),
        "timezone": str(month.tzinfo),
    }
    return _json(reader, "post", "/v1/reporting/report_runs", {"report_type": REPORT, "parameters": parameters})


def _fetch(reader: StripeReader, month: dt.datetime, run: dict[str, Any], sleep: Callable[[float], None]) -> str:
    """The report's file as text, when it is made. Raises SourceUnavailable if that takes too long."""
    waited, pause = 0.0, POLL_SECONDS_MIN
    while run["status"] == "pending":
        if waited > WAIT_SECONDS_MAX:
            raise SourceUnavailable(f"balance report of {month:%Y-%m} is not made after {WAIT_SECONDS_MAX:.0f} s", 600)
        run = _json(reader, "get", f"/v1/reporting/report_runs/{run['id']}")
        if run["status"] == "pending":
            sleep(pause)
            waited, pause = waited + pause, min(pause * 2, POLL_SECONDS_MAX)
    url = (run.get("result") or {}).get("url")
    if run["status"] != "succeeded" or not url:
        raise SourceError(f"balance report of {month:%Y-%m} ended as {run['status']!r}")
    return reader.file(str(url))


def _records(period: str, text: str) -> tuple[list[Record], list[Rejected]]:
    """Starting and ending balance per currency. A currency without both is quarantined, not guessed."""
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if not {"category", "net_amount", "currency"} <= set(rows.fieldnames or ()):
        return [], [Rejected(f"balance report of {period}: unexpected columns", text)]
    balances: dict[str, dict[str, str]] = {}
    for row in rows:
        if row["category"] in _CATEGORIES and row["currency"]:
            balances.setdefault(row["currency"].lower(), {})[row["category"]] = row["net_amount"]
    records, rejected = [], []
    for currency, found in sorted(balances.items()):
        record_id = f"{period}:{currency}"
        if set(found) != set(_CATEGORIES):
            rejected.append(Rejected("a balance report lacks its starting or ending balance", text, record_id))
            continue
        value = {"period": period, "currency": currency} | {name: found[name] for name in _CATEGORIES}
        records.append(Record(record_id, json.dumps(value, separators=(",", ":")), value))
    return records, rejected


def _json(reader: StripeReader, method: str, path: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        return strict_json.loads_object(reader.text(method, path, params))
    except strict_json.StrictJsonError as error:
        raise SourceError(f"{path}: the answer is not usable ({error})") from None
