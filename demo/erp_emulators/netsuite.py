"""NetSuite's SuiteTalk REST in front of the emulated books: records, SuiteQL, asynchronous jobs, the token service.

Its traps are the real ones as far as they are known (docs/erp-netsuite.md says how well each is): a create answers 204
with a Location and no body; an existing external id, a closed period and a missing right are all `400 USER_ERROR` with
a text in the account's language; PUT by external id overwrites; the idempotency key counts for asynchronous requests
alone, and a repeated one is a 400 that names the first job; journals and invoices may wait for approval outside the
ledger. Invoices, credit memos and payments: `netsuite_invoices`; customers and items: `netsuite_parties`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from demo.erp_emulators.core import Refused
from demo.erp_emulators.face import Face
from demo.erp_emulators.ledger import Entry, Held
from demo.erp_emulators.netsuite_chart import Chart
from demo.erp_emulators.netsuite_invoices import TYPES, over_applied
from demo.erp_emulators.netsuite_invoices import entry_of as detail_of
from demo.erp_emulators.netsuite_login import TOKEN_PATH, Integration
from demo.erp_emulators.netsuite_parties import RECORDS as PARTY_RECORDS
from demo.erp_emulators.netsuite_parties import Parties
from demo.erp_emulators.netsuite_records import BadBody, body_of, entry_of, record_of, refusal_code
from demo.erp_emulators.netsuite_suiteql import QueryError, run
from demo.simulators.server import Request, Response, dumps

PAGE_ROWS_MAX = 1000
_RECORDS = re.compile(r"/services/rest/record/v1/(?P<record>[a-z]+)(?:/(?P<id>.+))?", re.IGNORECASE)
JOURNAL = "journalentry"
_JOBS = re.compile(r"/services/rest/async/v1/job/(?P<job>\d+)(?P<task>/task/?)?(?P<result>1(/result)?)?")
_CONTENT_TYPE = "application/vnd.oracle.resource+json; charset=utf-8"
# An account whose users read German: nobody may decide anything by these words.
_WORDS = {
    "duplicate": "Fehler beim Zugriff auf eine Ressource. Diese Entität ist bereits vorhanden.",
    "period_closed": "Die Buchungsperiode ist gesperrt.",
    "no_period": "Für dieses Datum gibt es keine Buchungsperiode.",
    "unbalanced": "Die Soll- und Habenbeträge stimmen nicht überein.",
    "unknown_document": "Die Datensatzinstanz ist nicht vorhanden.",
    "forbidden": "Ihre aktuelle Rolle verfügt nicht über die Berechtigung, diese Aktion auszuführen.",
}


class NetSuiteFace(Face):
    """One account. `approvals`: new journals and invoices wait unless their body says approved. `may_write`,
    `may_query`: rights of the integration's role. `tax`: rate of a tax that NetSuite adds to what is taxable.
    `required`: record type -> fields that its form asks for. `ignores_apply`: a new payment settles nothing.
    `ar_locked`: months that are locked for receivables."""

    name = "netsuite"

    def __init__(
        self, root: Path, *, clock: Callable[[], float] = time.time, algorithm: str = "ES256", approvals: bool = False
    ) -> None:
        super().__init__(root, clock=clock)
        self.integration = Integration(root, algorithm=algorithm)
        self.approvals = approvals
        self.may_write = self.may_query = True
        self.tax = Decimal(0)
        self.required: dict[str, tuple[str, ...]] = {}
        self.ignores_apply = False
        self.ar_locked: set[str] = set()

    # What tests and other people of the account do.

    def approve(self, document_id: str) -> None:
        """A person approves a pending journal: now it counts."""
        self.erp.post([document_id])

    @property
    def parties(self) -> Parties:
        """Customers and items."""
        return Parties(self.erp.ledger)

    def check(self, entry: Entry) -> None:
        if entry.kind != "journal" and entry.date[:7] in self.ar_locked:
            raise Refused("period_closed", "The period is locked for A/R.", document=entry.key)
        over_applied(entry, self.erp.ledger.documents())

    def close_period(self, month: str, state: str = "closed") -> None:
        """`closed`, `locked` or `open`, for the whole account."""
        for company in self.erp.ledger.companies():
            self.erp.ledger.set_period(company, month, state)

    # The protocol.

    def answer(self, request: Request) -> Response:
        if request.path == TOKEN_PATH and request.method == "POST":
            return self.integration.token(request, self._clock)
        if not self.integration.admits(request.headers.get("authorization", ""), self._clock):
            return _error(401, "INVALID_LOGIN", "Ungültiger Anmeldeversuch.")
        # External ids are unique in NetSuite whatever else this ERP does wrong.
        self.erp.behaviour = replace(self.erp.behaviour, unique_id=True)
        try:
            if request.path == "/services/rest/query/v1/suiteql" and request.method == "POST":
                return self._suiteql(request)
            if match := _JOBS.fullmatch(request.path):
                return self._job(match["job"], bool(match["task"]), match["result"])
            if match := _RECORDS.fullmatch(request.path):
                record = match["record"].lower()
                if record == JOURNAL or record in TYPES:
                    return self._record(request, record, unquote(match["id"]) if match["id"] else None)
                if record in PARTY_RECORDS:
                    return self._party(request, record, unquote(match["id"]) if match["id"] else None)
        except BadBody as error:
            return _error(400, error.code, str(error), path=error.path)
        return _error(404, "NONEXISTENT_ID", f"{request.method} {request.path}")

    def refused(self, error: Refused) -> Response:
        if error.code == "throttled":
            response = _error(429, "CONCURRENCY_LIMIT_EXCEEDED", "Zu viele gleichzeitige Anforderungen.")
            response.headers["Retry-After"] = f"{error.retry_after or 1:g}"
            return response
        if error.status >= 500:
            return Response(error.status, "<html>Unexpected Error</html>", content_type="text/html")
        status = 404 if error.code == "unknown_document" else 400
        return _error(status, refusal_code(error), _WORDS.get(error.code, str(error)))

    def _record(self, request: Request, record: str, record_id: str | None) -> Response:
        chart = Chart.of(self.erp.ledger)
        if request.method == "POST" and record_id is None:
            return self._create(request, record, chart)
        if record_id is None or request.method not in ("GET", "PUT"):
            return _error(405, "INVALID_METHOD", request.method)
        external = record_id.startswith("eid:")
        held = self._held(record, "key = ?", record_id[4:]) if external else self._held(record, "id = ?", record_id)
        if request.method == "PUT":
            return self._upsert(request, record, chart, record_id[4:], held)
        if held is None:
            raise Refused("unknown_document", "")
        return Response(200, dumps(record_of(held, chart)), content_type=_CONTENT_TYPE)

    def _party(self, request: Request, record: str, record_id: str | None) -> Response:
        """A customer, an item, a subsidiary link."""
        kind, parties = PARTY_RECORDS[record][0], self.parties
        if request.method == "POST" and record_id is None:
            if not self.may_write:
                return _error(400, "USER_ERROR", _WORDS["forbidden"])
            strict = _is_strict(request)
            made = parties.create(record, body_of(request.body), Chart.of(self.erp.ledger), strict_names=strict)
            location = f"{request.base_url}/services/rest/record/v1/{record}/{made.id}"
            return Response(204, "", {"Location": location}, _CONTENT_TYPE)
        if record_id is None or request.method != "GET":
            return _error(405, "INVALID_METHOD", request.method)
        external = record_id.startswith("eid:")
        found = parties.by_external_id(kind, record_id[4:]) if external else parties.by_id(kind, record_id)
        if found is None:
            raise Refused("unknown_document", "")
        body = {"id": found.id, "isInactive": not found.is_active, **found.body}
        return Response(200, dumps(body), content_type=_CONTENT_TYPE)

    def _create(self, request: Request, record: str, chart: Chart) -> Response:
        if not self.may_write:
            return _error(400, "USER_ERROR", _WORDS["forbidden"])
        entry = self._entry(request, record, chart)
        if "respond-async" in request.headers.get("prefer", ""):
            return self._queue(request, entry)
        # A synchronous request's idempotency key is ignored.
        if entry.key and self._held(record, "key = ?", entry.key):
            raise Refused("duplicate", "")
        (held,) = self.erp.take([entry])
        location = f"{request.base_url}/services/rest/record/v1/{record}/{held.id}"
        return Response(204, "", {"Location": location}, _CONTENT_TYPE)

    def _upsert(self, request: Request, record: str, chart: Chart, key: str, held: Held | None) -> Response:
        """PUT by external id: 204 whether it made a record or wrote over one."""
        self.erp.calls["upsert"] += 1
        entry = replace(self._entry(request, record, chart), key=key)
        if held is not None:
            self.erp.ledger.delete(held.id)
        (made,) = self.erp.take([entry])
        return Response(204, "", {"Location": f"/services/rest/record/v1/{record}/{made.id}"}, _CONTENT_TYPE)

    def _queue(self, request: Request, entry: Entry) -> Response:
        applied = {"Preference-Applied": "respond-async"}
        key = request.headers.get("x-netsuite-idempotency-key")
        first = self.erp.job_of(key) if key else None
        if first is not None:
            response = _error(400, "IDEMPOTENCY_ERROR", "Schlüssel bereits verwendet.", title="Conflict")
            response.headers |= {**applied, "Location": f"/services/rest/async/v1/job/{first}"}
            return response
        job = self.erp.enqueue([entry], remember=key)
        return Response(202, "", {**applied, "Location": f"/services/rest/async/v1/job/{job}"}, _CONTENT_TYPE)

    def _entry(self, request: Request, record: str, chart: Chart) -> Entry:
        values, strict = body_of(request.body), _is_strict(request)
        if record == JOURNAL:
            return entry_of(values, chart, strict_names=strict, posts=not self.approvals)
        if self.ignores_apply:
            values.pop("apply", None)
        return detail_of(
            record, values, chart, self.parties, self.erp.ledger.documents(), strict_names=strict,
            posts=not self.approvals, tax=self.tax, required=self.required.get(record, ()),
        )  # fmt: skip

    def _job(self, job_id: str, task: bool, result: str | None) -> Response:
        job = self.erp.job(job_id)
        if job is None:
            raise Refused("unknown_document", "")
        base = f"/services/rest/async/v1/job/{job_id}"
        progress = {"queued": "pending", "done": "succeeded", "failed": "failed"}[job.state]
        state: dict[str, Any] = {"completed": job.state != "queued", "progress": progress}
        if not task:
            state |= {"id": job_id, "task": {"links": [{"rel": "self", "href": f"{base}/task"}]}}
            return Response(200, dumps(state), content_type=_CONTENT_TYPE)
        if result is None:
            items = [{"links": [{"rel": "self", "href": f"{base}/task/1"}]}]
            return Response(200, dumps({"items": items, "count": 1, "hasMore": False}), content_type=_CONTENT_TYPE)
        if not result.endswith("/result"):
            return Response(200, dumps(state | {"id": "1"}), content_type=_CONTENT_TYPE)
        if job.state == "failed":
            code, _, message = job.error.partition(": ")
            return self.refused(Refused(code, message))
        (held,) = job.documents
        location = f"/services/rest/record/v1/{_record_of(held)}/{held.id}"
        return Response(204, "", {"Location": location}, _CONTENT_TYPE)

    def _suiteql(self, request: Request) -> Response:
        if not self.may_query:
            return _error(400, "USER_ERROR", _WORDS["forbidden"])
        if "transient" not in request.headers.get("prefer", ""):
            return _error(400, "INVALID_HEADER", "The required request header 'Prefer' is missing.")
        limit, offset = int(request.first("limit") or PAGE_ROWS_MAX), int(request.first("offset") or 0)
        if not 1 <= limit <= PAGE_ROWS_MAX or offset % limit:
            return _error(400, "INVALID_PARAMETER", "limit, offset")
        sql = str(json.loads(request.body)["q"])
        chart = Chart.of(self.erp.ledger)
        # A search for a key meets the index; a read of known documents meets what somebody did to them.
        documents = self.erp.everything(altered="externalid" not in sql.partition(" WHERE ")[2].lower())
        try:
            rows = run(sql, chart, chart.tables(self.erp.ledger, self.ar_locked) | self.parties.tables(), documents)
        except QueryError as error:
            return _error(400, "INVALID_PARAMETER", str(error))
        page = rows[offset : offset + limit]
        body = {
            "links": [],
            "count": len(page),
            "hasMore": offset + limit < len(rows),
            "items": [{"links": [], **row} for row in page],
            "offset": offset,
            "totalResults": len(rows),
        }
        return Response(200, dumps(body), content_type=_CONTENT_TYPE)

    def _held(self, record: str, where: str, value: str) -> Held | None:
        """Ids and external ids are those of one record type."""
        return next((d for d in self.erp.ledger.documents(where, value) if _record_of(d) == record), None)


def _record_of(held: Held) -> str:
    return JOURNAL if held.entry.kind == "journal" else held.entry.kind


def _is_strict(request: Request) -> bool:
    """By default a field that NetSuite does not know is dropped."""
    return request.headers.get("x-netsuite-propertynamevalidation", "Warning") == "Error"


def _error(status: int, code: str, detail: str, *, path: str = "", title: str = "Bad Request") -> Response:
    """NetSuite's error envelope."""
    details = {"detail": detail, "o:errorCode": code, **({"o:errorPath": path} if path else {})}
    anchor = f"https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html#sec10.4.{status - 399}"
    body = {"type": anchor, "title": title, "status": status, "o:errorDetails": [details]}
    return Response(status, dumps(body), content_type=_CONTENT_TYPE)
