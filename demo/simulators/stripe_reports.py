"""The Reporting API: a report run is created, turns `succeeded`, and its result is a CSV file.

Offers `balance.summary.1` over whole calendar months. Starting and ending balance are what the processor states
(object `balance_report` of the world); payouts and fees are summed from the balance transactions, and activity is the
rest, so that a report always foots, as a bank statement does, whatever the transactions say.
"""

from __future__ import annotations

import csv
import hashlib
import io
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from demo.simulators import stripe_params as params
from demo.simulators.server import Request, Response, dumps
from demo.simulators.stripe_params import Refused, missing, no_such, unknown
from demo.simulators.stripe_resources import BY_FILE
from demo.simulators.tables import Instance, Record, Table, page_of

REPORT_TYPE = "balance.summary.1"
COLUMNS = ("category", "description", "net_amount", "currency")
#: Local midnight is at most 14 hours from UTC midnight.
ZONE_SPREAD = timedelta(hours=14)
ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
_RUN_PARAMETERS = {"interval_start", "interval_end", "currency", "timezone", "columns"}


class ReportDesk:
    """The report runs and result files of one account; in memory, gone with the process."""

    def __init__(self, instance: Instance, now: int) -> None:
        self._instance = instance
        self._now = now
        self._runs: dict[str, Record] = {}
        self._files: dict[str, tuple[Record, str]] = {}
        self._lock = threading.Lock()

    def handle(self, request: Request, steps: list[str], given: dict[str, Any]) -> Response | None:
        """Answer `/v1/reporting/...` and `/v1/files/...`; None for a URL the vendor does not have."""
        match (request.method, steps):
            case ("GET", ["reporting", "report_types", name]):
                if name != REPORT_TYPE:
                    raise no_such("report type", name)
                return Response(200, dumps(self._report_type()))
            case ("GET", ["reporting", "report_types"]):
                return Response(200, dumps(_list([self._report_type()], False, "/v1/reporting/report_types")))
            case ("POST", ["reporting", "report_runs"]):
                return Response(200, dumps(self._create(given, request.base_url)))
            case ("GET", ["reporting", "report_runs"]):
                return self._list_runs(given)
            case ("GET", ["reporting", "report_runs", run_id]):
                return Response(200, dumps(self._run(run_id)))
            case ("GET", ["files", file_id]):
                return Response(200, dumps(self._file(file_id)[0]))
            case ("GET", ["files", file_id, "contents"]):
                return Response(200, self._file(file_id)[1], content_type="text/csv")
        return None

    def _report_type(self) -> Record:
        start, end = self._available()
        return {
            "id": REPORT_TYPE,
            "object": "reporting.report_type",
            "data_available_start": start,
            "data_available_end": end,
            "default_columns": list(COLUMNS),
            "livemode": False,
            "name": "Balance summary",
            "updated": self._now,
            "version": 1,
        }

    def _create(self, given: dict[str, Any], base_url: str) -> Record:
        """A new run, `pending` in this answer as the vendor's are; the next look finds it done."""
        if "report_type" not in given:
            raise missing("report_type")
        if extra := set(given) - {"report_type", "parameters", "expand"}:
            raise unknown(sorted(extra)[0])
        if given["report_type"] != REPORT_TYPE:
            raise Refused(400, f"Unknown report type: {given['report_type']}", param="report_type")
        wanted = given.get("parameters") or {}
        if extra := set(wanted) - _RUN_PARAMETERS:
            raise unknown(f"parameters[{sorted(extra)[0]}]")
        start, end = (_bound(wanted, name) for name in ("interval_start", "interval_end"))
        columns = params.strings(wanted.get("columns", list(COLUMNS)), "parameters[columns]")
        if bad := [name for name in columns if name not in COLUMNS]:
            raise Refused(400, f"Invalid column: {bad[0]}", param="parameters[columns]")
        zone = wanted.get("timezone", "Etc/UTC")
        try:
            local = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise Refused(400, f"Invalid timezone: {zone}", param="parameters[timezone]") from error
        months = self._months(start, end, local)
        content = _csv(self._balances(months, start, end, local, wanted.get("currency")), columns)
        with self._lock:
            number = len(self._runs)
            token = hashlib.sha256(f"{self._instance.name}:{number}".encode()).hexdigest()[:22]
            file = self._store(f"file_1{token}", f"{REPORT_TYPE}-{start}.csv", content, base_url)
            run: Record = {
                "id": f"frr_1{token}",
                "object": "reporting.report_run",
                "created": self._now + number,
                "error": None,
                "livemode": False,
                "parameters": {"interval_start": start, "interval_end": end, "timezone": zone}
                | {name: wanted[name] for name in ("columns", "currency") if name in wanted},
                "report_type": REPORT_TYPE,
                "result": file,
                "status": "succeeded",
                "succeeded_at": self._now + number,
            }
            self._runs[run["id"]] = run
        return {**run, "result": None, "status": "pending", "succeeded_at": None}

    def _store(self, file_id: str, filename: str, content: str, base_url: str) -> Record:
        file = {
            "id": file_id,
            "object": "file",
            "created": self._now,
            "expires_at": self._now + 365 * 86_400,
            "filename": filename,
            "links": {"object": "list", "data": [], "has_more": False, "url": f"/v1/file_links?file={file_id}"},
            "purpose": "finance_report_run",
            "size": len(content.encode()),
            "title": None,
            "type": "csv",
            "url": f"{base_url}/v1/files/{file_id}/contents",
        }
        self._files[file_id] = (file, content)
        return file

    def _run(self, run_id: str) -> Record:
        run = self._runs.get(run_id)
        if run is None:
            raise no_such("reporting report run", run_id)
        return run

    def _file(self, file_id: str) -> tuple[Record, str]:
        found = self._files.get(file_id)
        if found is None:
            raise no_such("file upload", file_id)
        return found

    def _list_runs(self, given: dict[str, Any]) -> Response:
        if extra := set(given) - {"limit", "starting_after", "ending_before", "created", "expand"}:
            raise unknown(sorted(extra)[0])
        runs = list(reversed(self._runs.values()))
        if "created" in given:
            low, high = params.time_range(given["created"], "created")
            runs = [r for r in runs if (low is None or r["created"] >= low) and (high is None or r["created"] < high)]
        places = {run["id"]: place for place, run in enumerate(runs)}
        anchors: list[int | None] = []
        for name in ("starting_after", "ending_before"):
            if name in given and given[name] not in places:
                raise no_such("reporting report run", str(given[name]), name)
            anchors.append(places.get(given.get(name, "")))
        page, more = page_of(range(len(runs)), anchors[0], anchors[1], params.page_limit(given.get("limit")))
        return Response(200, dumps(_list([runs[place] for place in page], more, "/v1/reporting/report_runs")))

    def _available(self) -> tuple[int, int]:
        """First and last instant there is data for: from the account's first transaction to its last month's end.

        The end is taken where that month ends last on earth, so that it may be asked for from any time zone.
        """
        months = sorted({row["period"] for _, row in self._instance.rows("balance_report")})
        order = self._transactions().order
        if not months or not order:
            return self._now, self._now
        return order[-1], int((_next_month(_month_start(months[-1])) + ZONE_SPREAD).timestamp())

    def _months(self, start: int, end: int, local: ZoneInfo) -> list[str]:
        """The calendar months of [start, end): from a month start, or from the account's first instant, to another.

        A month start may be midnight of any time zone.
        """
        since, until = self._available()
        if not since <= start < end <= until:
            message = (
                "The requested interval is outside of the data availability of this report type: see "
                f"data_available_start and data_available_end of {REPORT_TYPE}."
            )
            raise Refused(400, message, param="parameters[interval_start]")
        first, last = _nearest_month_start(start), _nearest_month_start(end)
        if start == since:
            first = _month_start(datetime.fromtimestamp(start, local).strftime("%Y-%m"))
        if first is None or last is None:
            message = "This account keeps its balance by month: interval_start and interval_end must be month starts."
            raise Refused(400, message, param="parameters[interval_start]")
        months = []
        while first < last:
            months.append(first.strftime("%Y-%m"))
            first = _next_month(first)
        return months

    def _balances(
        self, months: list[str], start: int, end: int, local: ZoneInfo, currency: str | None
    ) -> list[tuple[str, str, Decimal, str]]:
        """The report's rows: six categories a currency."""
        days = [datetime.fromtimestamp(at, local).strftime("%Y-%m-%d") for at in (start, end)]
        stated: dict[str, dict[str, Record]] = {}
        for _, row in self._instance.rows("balance_report"):
            if row["period"] in months and currency in (None, row["currency"]):
                stated.setdefault(row["currency"], {})[row["period"]] = row
        rows = []
        for code in sorted(stated):
            periods = stated[code]
            opening = Decimal(periods[min(periods)]["starting_balance"])
            closing = Decimal(periods[max(periods)]["ending_balance"])
            fees, payouts = self._moved(code, start, end)
            rows += [
                ("starting_balance", f"Starting balance ({days[0]})", opening, code),
                ("activity_gross", "Account activity before fees", closing - opening - payouts + fees, code),
                ("activity_fee", "Less fees", -fees, code),
                ("payouts_gross", "Less payouts", payouts, code),
                ("payouts_fee", "Less payout fees", Decimal(0), code),
                ("ending_balance", f"Ending balance ({days[1]})", closing, code),
            ]
        return [(category, words, amount.quantize(_unit(code)), code) for category, words, amount, code in rows]

    def _transactions(self) -> Table:
        return self._instance.table("balance_transaction", prepare=BY_FILE["balance_transaction"].prepare)

    def _moved(self, currency: str, start: int, end: int) -> tuple[Decimal, Decimal]:
        """Fees charged (positive) and payouts (negative) of the interval, major units."""
        table = self._transactions()
        kinds, codes = table.column("type"), table.column("currency")
        amounts, charged = table.column("amount"), table.column("fee")
        inside = [p for p in table.order_window(start, end) if codes[p] == currency]
        fees = sum(charged[p] or 0 for p in inside)
        payouts = sum(amounts[p] for p in inside if str(kinds[p]).startswith("payout"))
        return Decimal(fees) * _unit(currency), Decimal(payouts) * _unit(currency)


def _bound(wanted: dict[str, Any], name: str) -> int:
    if name not in wanted:
        raise missing(f"parameters[{name}]")
    return params.integer(wanted[name], f"parameters[{name}]")


def _list(rows: list[Record], has_more: bool, url: str) -> Record:
    return {"object": "list", "data": rows, "has_more": has_more, "url": url}


def _unit(currency: str) -> Decimal:
    """One minor unit in major units."""
    if currency in ZERO_DECIMAL:
        return Decimal(1)
    return Decimal("0.001") if currency in THREE_DECIMAL else Decimal("0.01")


def _csv(rows: list[tuple[str, str, Decimal, str]], columns: list[str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        named = dict(zip(COLUMNS, row, strict=True))
        writer.writerow([named[column] for column in columns])
    return out.getvalue()


def _month_start(period: str) -> datetime:
    return datetime.strptime(period, "%Y-%m").replace(tzinfo=UTC)


def _next_month(at: datetime) -> datetime:
    return (at.replace(day=1) + timedelta(days=32)).replace(day=1)


def _nearest_month_start(at: int) -> datetime | None:
    """The UTC month start within a time zone's reach of `at`, or None."""
    moment = datetime.fromtimestamp(at, UTC)
    midnight = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for candidate in (midnight, _next_month(midnight)):
        if abs(candidate - moment) <= ZONE_SPREAD:
            return candidate
    return None
