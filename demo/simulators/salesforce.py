"""The CRM vendor: Salesforce's OAuth token endpoint and REST query API, read-only.

OAuth 2.0 client credentials, and JWT bearer where a public key is configured (RS256; issuer, subject, audience and
expiry are checked). SOQL over REST with query locators and pages of at most 2,000 rows, `queryAll`, sObject describe
and retrieve, `/limits`, and the API usage header. Sessions end; the daily request limit can run out.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from demo.simulators.faults import Fault, Weather
from demo.simulators.salesforce_login import CrmLogin, TokenDesk
from demo.simulators.salesforce_schema import SObject, org
from demo.simulators.server import Request, Response, dumps
from demo.simulators.soql import SoqlError, parse
from demo.simulators.tables import Instance, Record

PAGE_MAX = 2000
PAGE_MIN = 200
LOCATORS_KEPT = 500
VERSION_MAX = 67
VERSION_MIN = 31


class Refused(Exception):
    """A request answered with the vendor's JSON array of errors."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def response(self) -> Response:
        """The array with its one error."""
        return Response(self.status, dumps([{"message": self.message, "errorCode": self.code}]))


@dataclass(frozen=True)
class _Locator:
    """A query whose later pages are still to be fetched."""

    rows: list[Record]
    sobject: SObject
    fields: list[str]
    batch: int


class SalesforceApp:
    """One org. `daily_requests` is the 24-hour allowance; `session_seconds` how long a token lives."""

    name = "salesforce"

    def __init__(
        self,
        instance: Instance,
        login: CrmLogin,
        weather: Weather,
        *,
        daily_requests: int = 100_000,
        session_seconds: float = 7_200,
    ) -> None:
        self.weather = weather
        self.daily_requests = daily_requests
        self.used = 0
        self._desk = TokenDesk(login, session_seconds)
        self._objects = org(instance)
        self._locators: OrderedDict[str, _Locator] = OrderedDict()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def session_seconds(self) -> float:
        """How long a session given out from now on lives."""
        return self._desk.session_seconds

    @session_seconds.setter
    def session_seconds(self, seconds: float) -> None:
        self._desk.session_seconds = seconds

    def handle(self, request: Request) -> Response:
        """Answer one call; errors become the vendor's arrays, OAuth errors its objects."""
        if request.path == "/services/oauth2/token":
            return self._desk.answer(request)
        fault = None
        try:
            if request.path.rstrip("/") == "/services/data" and request.method == "GET":
                return Response(200, dumps(_versions()))
            self._authenticate(request)
            fault = self.weather.next_fault(request.path)
            if fault is not None and isinstance(fault.status, int):
                response = _fault(fault)
            else:
                self._count(request)
                response = self._route(request)
        except Refused as refused:
            response = refused.response()
        except SoqlError as error:
            response = Refused(400, error.code, error.message).response()
        if fault is not None and response.status == 200:
            response = _broken_page(str(fault.status), request, response)
        response.headers.setdefault("Sforce-Limit-Info", f"api-usage={self.used}/{self.daily_requests}")
        return response

    def crashed(self) -> Response:
        """The vendor's 500."""
        return Refused(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred.").response()

    def _authenticate(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "oauth") or not self._desk.knows(token.strip()):
            raise Refused(401, "INVALID_SESSION_ID", "Session expired or invalid")

    def _count(self, request: Request) -> None:
        """One of the day's requests; over the allowance everything but `/limits` is refused."""
        if self.used >= self.daily_requests and not request.path.rstrip("/").endswith("/limits"):
            raise Refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        if self.weather.limit is not None and not self.weather.limit.admits("org"):
            raise Refused(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.")
        with self._lock:
            self.used += 1

    # -- resources

    def _route(self, request: Request) -> Response:
        match = re.fullmatch(r"/services/data/v(\d+)\.0(?:/(.*?))?/?", request.path)
        if match is None or not VERSION_MIN <= int(match.group(1)) <= VERSION_MAX:
            raise _not_found()
        version, steps = f"v{match.group(1)}.0", (match.group(2) or "").split("/")
        if request.method != "GET":
            message = f"HTTP Method '{request.method}' not allowed. Allowed are HEAD,GET"
            raise Refused(405, "METHOD_NOT_ALLOWED", message)
        match steps:
            case [("query" | "queryAll") as kind]:
                return self._query(request, version, deleted=kind == "queryAll")
            case [("query" | "queryAll"), locator]:
                return self._more(locator, version)
            case ["limits"]:
                return Response(200, dumps(self._limits()))
            case ["sobjects"]:
                shown = [_sobject(item, version) for item in self._objects.values()]
                return Response(200, dumps({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": shown}))
            case ["sobjects", name, "describe"]:
                return Response(200, dumps(_describe(self._sobject(name), version)))
            case ["sobjects", name, record_id]:
                return self._record(self._sobject(name), record_id, version, request)
        raise _not_found()

    def _sobject(self, name: str) -> SObject:
        found = self._objects.get(name.lower())
        if found is None:
            raise _not_found()
        return found

    def _query(self, request: Request, version: str, *, deleted: bool) -> Response:
        text = request.first("q")
        if text is None:
            raise Refused(400, "MALFORMED_QUERY", "SOQL query is required: parameter q")
        query = parse(text, self._objects)
        rows = query.run(deleted=deleted)
        if query.counts:
            return Response(200, dumps({"totalSize": len(rows), "done": True, "records": []}))
        locator = _Locator(rows, query.sobject, query.fields, _batch(request))
        key = ""
        if len(rows) > locator.batch:
            with self._lock:
                key = f"01g{hashlib.sha256(str(next(self._numbers)).encode()).hexdigest()[:15]}"
                self._locators[key] = locator
                while len(self._locators) > LOCATORS_KEPT:
                    self._locators.popitem(last=False)
        return self._page(key, locator, 0, version)

    def _more(self, name: str, version: str) -> Response:
        key, _, start = name.rpartition("-")
        locator = self._locators.get(key)
        if locator is None or not start.isdigit() or int(start) >= len(locator.rows):
            raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(key, locator, int(start), version)

    def _page(self, key: str, locator: _Locator, start: int, version: str) -> Response:
        stop = start + locator.batch
        rows = [_shown(row, locator.sobject, locator.fields, version) for row in locator.rows[start:stop]]
        body: dict[str, Any] = {"totalSize": len(locator.rows), "done": stop >= len(locator.rows)}
        if not body["done"]:
            body["nextRecordsUrl"] = f"/services/data/{version}/query/{key}-{stop}"
        body["records"] = rows
        return Response(200, dumps(body))

    def _record(self, sobject: SObject, record_id: str, version: str, request: Request) -> Response:
        row = sobject.by_id.get(record_id) or next(
            (row for known, row in sobject.by_id.items() if len(record_id) == 15 and known[:15] == record_id), None
        )
        if row is None or row.get("IsDeleted"):
            raise Refused(
                404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: " + record_id
            )
        wanted = request.first("fields")
        names = list(sobject.fields)
        if wanted is not None:
            names = [sobject.names.get(name.strip().lower(), "") for name in wanted.split(",")]
            if "" in names:
                raise Refused(400, "INVALID_FIELD", f"No such column '{wanted}' on sobject of type {sobject.name}")
        return Response(200, dumps(_shown(row, sobject, names, version)))

    def _limits(self) -> dict[str, Any]:
        left = max(0, self.daily_requests - self.used)
        return {
            "DailyApiRequests": {"Max": self.daily_requests, "Remaining": left},
            "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000},
            "DailyBulkV2QueryFileStorageMB": {"Max": 976_562, "Remaining": 976_562},
        }


def _batch(request: Request) -> int:
    """Rows a page: the hint of `Sforce-Query-Options`, kept within 200 and 2,000."""
    match = re.search(r"batchSize\s*=\s*(\d+)", request.headers.get("sforce-query-options", ""), re.IGNORECASE)
    return min(PAGE_MAX, max(PAGE_MIN, int(match.group(1)))) if match else PAGE_MAX


def _shown(row: Record, sobject: SObject, fields: list[str], version: str) -> Record:
    url = f"/services/data/{version}/sobjects/{sobject.name}/{row['Id']}"
    return {"attributes": {"type": sobject.name, "url": url}} | {name: row.get(name) for name in fields}


def _versions() -> list[dict[str, str]]:
    numbers = range(VERSION_MIN, VERSION_MAX + 1)
    return [{"label": f"v{n}.0", "url": f"/services/data/v{n}.0", "version": f"{n}.0"} for n in numbers]


def _sobject(sobject: SObject, version: str) -> dict[str, Any]:
    base = f"/services/data/{version}/sobjects/{sobject.name}"
    urls = {"sobject": base, "describe": f"{base}/describe", "rowTemplate": f"{base}/{{ID}}"}
    custom = sobject.name.endswith("__c")
    return {"name": sobject.name, "keyPrefix": sobject.key_prefix, "custom": custom, "queryable": True, "urls": urls}


def _describe(sobject: SObject, version: str) -> dict[str, Any]:
    fields = [
        {"name": name, "type": kind, "custom": name.endswith("__c"), "filterable": True, "sortable": True}
        for name, kind in sobject.fields.items()
    ]
    return {**_sobject(sobject, version), "fields": fields}


def _fault(fault: Fault) -> Response:
    texts = {
        429: ("REQUEST_LIMIT_EXCEEDED", "Too many requests; retry later."),
        503: ("SERVER_UNAVAILABLE", "Server too busy; retry later."),
    }
    code, message = texts.get(int(fault.status), ("UNKNOWN_EXCEPTION", "An unexpected error occurred."))
    response = Refused(int(fault.status), code, message).response()
    if fault.retry_after is not None:
        response.headers["Retry-After"] = fault.retry_after
    return response


def _broken_page(kind: str, request: Request, response: Response) -> Response:
    """A query answer gone wrong: no rows although more follow, or a next URL that leads to this very page."""
    body = json.loads(response.body)
    if body.get("done") is False and kind == "empty_page":
        body["records"] = []
    elif body.get("done") is False:
        body["nextRecordsUrl"] = request.target
    return Response(200, dumps(body))


def _not_found() -> Refused:
    return Refused(404, "NOT_FOUND", "The requested resource does not exist")
