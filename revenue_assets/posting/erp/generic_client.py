"""The generic REST contract over HTTP (docs/erp-rest.openapi.yaml): one request each, no accounting, no retries.

Whatever goes wrong is an ErpError with a failure class: the worker knows what may be sent again, and when.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from revenue_assets.posting.erp.generic_documents import refused
from revenue_assets.posting.erp.port import ErpError, Failure
from revenue_assets.sources.base import checked_base_url, retry_after_seconds, safe_body

CONNECT_SECONDS_MAX = 10.0
Row = Mapping[str, Any]


class NotThere(ErpError):
    """A read of something that is not there."""


class AlreadyThere(ErpError):
    """A write that was refused because the ledger has the key."""


class GenericClient:
    """One connection to one ledger. `token` is a bearer token; without it `user` and `password` are sent (Basic).

    `key_header`: the name under which the ledger takes an idempotency key. `transport` replaces the network in tests.
    Not safe for use by several threads at once.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        user: str = "",
        password: str = "",
        key_header: str = "Idempotency-Key",
        timeout_seconds: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._secrets = tuple(x for x in (token, password) if x)
        self._key_header = key_header
        self._http = httpx.Client(
            base_url=f"{checked_base_url(base_url, 'erp')}/v1",
            headers={"Authorization": f"Bearer {token}" if token else f"Basic {pair}"},
            timeout=httpx.Timeout(timeout_seconds, connect=CONNECT_SECONDS_MAX),
            transport=transport,
            trust_env=False,
        )

    def close(self) -> None:
        """Gives the connection back."""
        self._http.close()

    def companies(self) -> list[Row]:
        return self._rows(self._read("/companies"), "companies")

    def rows(self, company: str, what: str, **params: Any) -> list[Row]:
        """A list of the company: `accounts`, `periods`, `journals`, `balances`, `customers` or `items`. Raises
        ErpError."""
        return self._rows(self._read(_path(company, what), params), what)

    def page(self, company: str, period: str, after: str | None, limit: int) -> tuple[list[Row], int, str | None]:
        """Journals of a period, how many the period has in all, and where the next page begins (None: no more)."""
        params = {"period": period, "limit": limit} | ({} if after is None else {"after": after})
        answer = self._read(_path(company, "journals"), params)
        total, following = answer.get("total"), answer.get("next")
        if isinstance(total, bool) or not isinstance(total, int) or not isinstance(following, str | None):
            words = f"The list of journals of {company} {period} says neither how many there are nor what follows."
            raise ErpError(Failure("unavailable", words))
        return self._rows(answer, "journals"), total, following

    def job(self, company: str, job_id: str) -> Row | None:
        """A queued journal; None if the ledger does not know the job."""
        try:
            return self._read(f"{_path(company, 'jobs')}/{quote(job_id, safe='')}")
        except NotThere:
            return None

    def create(self, company: str, record: Row, key: str) -> tuple[Row, bool]:
        """Posts one journal. Returns the journal and True, or the job that will make it and False."""
        response = self._send("POST", _path(company, "journals"), write=True, content=record, key=key)
        return self._object(response, write=True), response.status_code != 202

    def add(self, company: str, what: str, record: Row) -> None:
        """Makes a customer or an item. Raises AlreadyThere if the ledger has its code."""
        self._send("POST", _path(company, what), write=True, content=record)

    def put(self, company: str, what: str, external_id: str, record: Row) -> Row:
        """Makes the record of that id what it is now, and returns it as it stands. Raises AlreadyThere if the ledger
        has another truth about it."""
        path = f"{_path(company, what)}/{quote(external_id, safe='')}"
        return self._object(self._send("PUT", path, write=True, content=record), write=True)

    def _read(self, path: str, params: Mapping[str, Any] | None = None) -> Row:
        return self._object(self._send("GET", path, write=False, params=params), write=False)

    def _send(
        self,
        method: str,
        path: str,
        *,
        write: bool,
        params: Mapping[str, Any] | None = None,
        content: Row | None = None,
        key: str | None = None,
    ) -> httpx.Response:
        headers = {} if key is None else {self._key_header: key}
        try:
            response = self._http.request(method, path, params=params, json=content, headers=headers)
        except httpx.TransportError as error:
            raise ErpError(_broken(error, write)) from error
        if response.status_code >= 300:
            self._raise(response, write)
        return response

    def _raise(self, response: httpx.Response, write: bool) -> None:
        status, wait = response.status_code, retry_after_seconds(response.headers)
        evidence = f"HTTP {status}: {safe_body(response.content, self._secrets)}"
        if status in (401, 403):
            raise ErpError(Failure("auth", "The ledger refused the login or its right to this call.", evidence))
        if status == 429:
            raise ErpError(Failure("throttled", "The ledger asked us to come back later.", evidence, wait))
        if status >= 500 or status < 400 or status == 408:
            kind, words = (
                ("uncertain", "whether it did the work is not known") if write else ("unavailable", "try later")
            )
            raise ErpError(Failure(kind, f"The ledger answered {status}; {words}.", evidence, wait))
        code, words = _reason(response.content)
        cls = NotThere if status == 404 and not write else AlreadyThere if status == 409 else ErpError
        raise cls(refused(code, words))

    def _object(self, response: httpx.Response, *, write: bool) -> Row:
        try:
            value = json.loads(response.content)
            if isinstance(value, dict):
                return value
        except ValueError:
            pass
        kind = "uncertain" if write else "unavailable"
        raise ErpError(Failure(kind, "The ledger's answer is no JSON object.", safe_body(response.content)))

    def _rows(self, answer: Row, name: str) -> list[Row]:
        rows = answer.get(name)
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return rows
        raise ErpError(Failure("unavailable", f"The ledger's answer has no list {name!r}."))


def chunks(values: Sequence[str], size: int) -> list[list[str]]:
    """`values` in lists of at most `size`."""
    return [list(values[n : n + size]) for n in range(0, len(values), size)]


def _path(company: str, what: str) -> str:
    return f"/companies/{quote(company, safe='')}/{what}"


def _broken(error: httpx.TransportError, write: bool) -> Failure:
    name = type(error).__name__
    if not write or isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        return Failure("unavailable", f"The ledger cannot be reached ({name}).", str(error))
    return Failure("uncertain", f"The connection broke after the journal was sent ({name}).", str(error))


def _reason(body: bytes) -> tuple[str, str]:
    try:
        error = json.loads(body)["error"]
        return str(error["code"]), str(error.get("message") or "")
    except (ValueError, KeyError, TypeError):
        return "invalid", safe_body(body)
