"""NetSuite's REST services over HTTP: records, SuiteQL, asynchronous jobs. Knows no accounting.

Amounts travel as JSON numbers in both directions and never become floats: they leave as the Decimal's own digits and
arrive by `parse_float=Decimal`. Reads are tried again when nobody answers or the account is busy for a moment; a write
is sent once, and what became of it is the caller's question.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import stamina

from revenue_assets.domain.money import MoneyError
from revenue_assets.sources.base import checked_base_url
from revenue_assets.sources.netsuite_auth import Certificate, Tokens
from revenue_assets.sources.netsuite_faults import NetSuiteFault, answer_fault, transport_fault

RECORDS = "/services/rest/record/v1"
SUITEQL = "/services/rest/query/v1/suiteql"
CONNECT_SECONDS_MAX = 10.0
READ_TRIES_MAX = 5
# The account's concurrency is shared with all its integrations: a short wait for a free place is no failure.
THROTTLE_SECONDS_MAX = 2.0
# The vendor's bounds: rows of one page, rows of one query.
PAGE_ROWS_MAX = 1000
QUERY_ROWS_MAX = 100_000

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Created:
    """A record that NetSuite made at once (`record_id`) or a job that will make it (`job_id`)."""

    record_id: str | None = None
    job_id: str | None = None


class NetSuiteClient:
    """One integration's connection to one account. Not safe for use by several threads at once.

    `page_rows` is lowered in tests only; `transport` replaces the network there.
    """

    def __init__(
        self,
        base_url: str,
        certificate: Certificate,
        *,
        read_seconds: float = 120.0,
        write_seconds: float = 300.0,
        page_rows: int = PAGE_ROWS_MAX,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._base = checked_base_url(base_url, "erp")
        self._read = httpx.Timeout(read_seconds, connect=CONNECT_SECONDS_MAX)
        self._write = httpx.Timeout(write_seconds, connect=CONNECT_SECONDS_MAX)
        self._http = httpx.Client(timeout=self._read, transport=transport, trust_env=False, follow_redirects=False)
        self._tokens = Tokens(self._http, self._base, certificate)
        self._page_rows = page_rows

    def close(self) -> None:
        """Gives the connection back; the token ends by itself."""
        self._http.close()

    def create(self, record_type: str, values: Row, *, idempotency_key: str | None = None) -> Created:
        """POSTs one record. With an idempotency key the request is asynchronous: NetSuite heeds the key only then.

        Raises NetSuiteFault. A record is never PUT: an upsert of a posted journal would overwrite it.
        """
        # Left to itself NetSuite drops a field that it does not know, and answers success.
        headers = {"Content-Type": "application/json", "X-NetSuite-PropertyNameValidation": "Error"}
        if idempotency_key is not None:
            headers |= {"Prefer": "respond-async", "X-NetSuite-Idempotency-Key": idempotency_key}
        response = self._send("POST", f"{RECORDS}/{record_type}", exact_json(values), headers, write=True)
        last = _last_part(response.headers.get("Location"))
        if response.status_code == 204 and last is not None:
            return Created(record_id=last)
        if response.status_code == 202 and last is not None:
            return Created(job_id=last)
        raise answer_fault(response, write=True)

    def record(self, record_type: str, external_id: str) -> Row | None:
        """The record with this external id, header fields only; None if there is none."""
        path = f"{RECORDS}/{record_type}/eid:{quote(external_id, safe='')}"
        return self._object(path)

    def job(self, job_id: str) -> Row | None:
        """An asynchronous job's state; None if NetSuite does not know (any longer)."""
        return self._object(f"/services/rest/async/v1/job/{quote(job_id, safe='')}")

    def job_fault(self, job_id: str) -> NetSuiteFault | None:
        """Why the task of a failed job failed; None if its result says nothing of it."""
        tasks = self._object(f"/services/rest/async/v1/job/{quote(job_id, safe='')}/task/")
        items = (tasks or {}).get("items") or []
        task = _last_part(items[0]["links"][0]["href"]) if items and items[0].get("links") else None
        if task is None:
            return None
        path = f"/services/rest/async/v1/job/{quote(job_id, safe='')}/task/{quote(task, safe='')}/result"
        response, _ = self._patiently("GET", path, None, {})
        return None if response.status_code < 400 else answer_fault(response, write=False)

    def query(self, sql: str) -> list[Row]:
        """All rows of a SuiteQL query, page by page. The query must have a total order: pages are cut anew each time.

        Columns that are null are missing from a row; values are text. Raises NetSuiteFault, also for a listing that
        changed its length between two pages or is longer than the vendor lists.
        """
        rows: list[Row] = []
        expected: int | None = None
        while True:
            page = self._page(sql, len(rows))
            rows += page["items"]
            total = int(page["totalResults"])
            if total > QUERY_ROWS_MAX:
                raise NetSuiteFault(
                    "unavailable", f"NetSuite lists at most {QUERY_ROWS_MAX} rows; a query has {total}."
                )
            if expected is not None and total != expected:
                raise NetSuiteFault("unavailable", "The ledger changed between two pages of a listing; read it again.")
            expected = total
            if not page["hasMore"]:
                if len(rows) != total:
                    raise NetSuiteFault("unavailable", f"A listing of {total} rows ended after {len(rows)}.")
                return rows
            if not page["items"]:
                raise NetSuiteFault("unavailable", "An empty page of a listing says that more follows.")

    def _page(self, sql: str, offset: int) -> Any:
        path = f"{SUITEQL}?limit={self._page_rows}&offset={offset}"
        headers = {"Content-Type": "application/json", "Prefer": "transient"}
        response, page = self._patiently("POST", path, exact_json({"q": sql}), headers)
        if not isinstance(page.get("items"), list) or "totalResults" not in page:
            raise answer_fault(response, write=False)
        return page

    def _object(self, path: str) -> Row | None:
        response, value = self._patiently("GET", path, None, {})
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise answer_fault(response, write=False)
        return value

    def _patiently(
        self, method: str, path: str, body: str | None, headers: Mapping[str, str]
    ) -> tuple[httpx.Response, Row]:
        """A read: its answer, and the object in it if it is a success."""

        def again(error: Exception) -> bool | float:
            if isinstance(error, NetSuiteFault) and error.kind == "throttled":
                wait = error.retry_after or 0.0
                return wait <= THROTTLE_SECONDS_MAX and (wait or True)
            return isinstance(error, NetSuiteFault) and error.kind == "unavailable"

        for attempt in stamina.retry_context(
            on=again, attempts=READ_TRIES_MAX, timeout=60.0, wait_initial=0.1, wait_jitter=0.2, wait_max=5.0
        ):
            with attempt:
                response = self._send(method, path, body, headers, write=False)
                if response.status_code >= 500 or response.status_code == 429:
                    raise answer_fault(response, write=False)
                return response, _parsed(response) if response.status_code == 200 else {}
        raise AssertionError("unreachable: the loop returns or raises")

    def _send(
        self, method: str, path: str, body: str | None, headers: Mapping[str, str], *, write: bool
    ) -> httpx.Response:
        """One request; a token that NetSuite refuses is renewed once. Such a request did nothing, so it may repeat."""
        response = self._once(method, path, body, headers, write=write)
        if response.status_code == 401:
            self._tokens.forget()
            response = self._once(method, path, body, headers, write=write)
        return response

    def _once(
        self, method: str, path: str, body: str | None, headers: Mapping[str, str], *, write: bool
    ) -> httpx.Response:
        sent = {**headers, "Authorization": f"Bearer {self._tokens.bearer()}"}
        timeout = self._write if write else self._read
        try:
            return self._http.request(method, self._base + path, content=body, headers=sent, timeout=timeout)
        except httpx.TransportError as error:
            raise transport_fault(error, write=write) from error


def exact_json(value: Any) -> str:
    """JSON text in which a Decimal is a number with exactly its digits. Raises MoneyError for a float."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(str(k))}:{exact_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(exact_json(v) for v in value) + "]"
    if isinstance(value, Decimal):
        return format(value, "f")
    if value is None or isinstance(value, (str, bool, int)):
        return json.dumps(value)
    raise MoneyError(f"{type(value).__name__} cannot be sent to the ERP")


def literal(value: str) -> str:
    """A SuiteQL text literal; the service takes no bind parameters. Raises ValueError for control characters."""
    if not value.isprintable():
        raise ValueError(f"{value!r} cannot stand in a query")
    return "'" + value.replace("'", "''") + "'"


def _parsed(response: httpx.Response) -> Any:
    try:
        value = json.loads(response.content, parse_float=Decimal)
    except ValueError:
        raise NetSuiteFault("unavailable", "NetSuite's answer is no JSON.", status=response.status_code) from None
    if not isinstance(value, dict):
        raise NetSuiteFault("unavailable", "NetSuite's answer is no object.", status=response.status_code)
    return value


def _last_part(url: str | None) -> str | None:
    """The id at the end of a Location; the path before it comes back in other letter case than it was sent."""
    return urlsplit(url or "").path.rstrip("/").rpartition("/")[2] or None
