"""The tax engine vendor: AvaTax REST v2, the reading part: ping, companies, transactions.

Lists come in the FetchResult envelope with `$filter`, `$include`, `$top` (at most 1,000), `$skip`, `$orderBy` and an
`@nextLink`. As with the vendor, a transaction list without a date in its filter covers the last 30 days only (here:
back from the newest modification of the world), an adjusted document keeps its code under a higher version, and
retrieval by code gives the highest version. A record of the world names its company in `companyCode`, which the
vendor's own object does not carry: it is kept out of the answers, where the numeric `companyId` stands for it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote, urlencode
from uuid import uuid4

from demo.simulators.avalara_answers import Refused, fault_response, shape_of
from demo.simulators.avalara_filter import FilterError, parse, value_of
from demo.simulators.faults import Fault, Weather
from demo.simulators.server import Request, Response, dumps
from demo.simulators.tables import Instance, Record

TOP_MAX = 1000
DEFAULT_REACH = timedelta(days=30)
_DATE_FIELDS = ("date", "taxDate", "paymentDate", "modifiedDate", "exchangeRateEffectiveDate")
_QUERY = {"$filter", "$include", "$top", "$skip", "$orderby", "pagekey", "datasourceid"}
_ESCAPES = {"_-ava2f-_": "/", "_-ava2b-_": "+", "_-ava3f-_": "?", "_-ava25-_": "%", "_-ava23-_": "#"}


@dataclass(frozen=True)
class TaxLogin:
    """The account number and its licence key."""

    account: str
    license_key: str


@dataclass
class _Company:
    """One company of the account with its transactions, oldest id first."""

    id: int
    code: str
    rows: list[Record]


class AvalaraApp:
    """One AvaTax account."""

    name = "avalara"

    def __init__(self, instance: Instance, login: TaxLogin, weather: Weather) -> None:
        self.weather = weather
        self._login = login
        self._instance = instance
        self._loaded: dict[str, _Company] | None = None
        self._kinds: dict[str, str] = {}

    def handle(self, request: Request) -> Response:
        """Answer one call. Every answer names its correlation id: the vendor's SDK reads it without asking."""
        response = self._answer(request)
        response.headers["x-correlation-id"] = request.headers.get("x-correlation-id") or str(uuid4())
        return response

    def _answer(self, request: Request) -> Response:
        fault = None
        try:
            known = self._authenticated(request)
            if request.path.rstrip("/") == "/api/v2/utilities/ping":
                return Response(200, dumps(self._ping(known)))
            if not known:
                description = "Missing authentication or unable to authenticate the user or the account."
                raise Refused(
                    401,
                    "AuthenticationException",
                    30,
                    "Authentication failed.",
                    description=description,
                    target="HttpRequestHeaders",
                )
            fault = self.weather.next_fault(request.path)
            if fault is not None and isinstance(fault.status, int):
                return fault_response(fault)
            if self.weather.limit is not None and not self.weather.limit.admits("account"):
                return fault_response(Fault(429, retry_after="1"))
            response = self._route(request)
        except Refused as refused:
            response = refused.response()
        if fault is not None and response.status == 200:
            response = _broken_page(str(fault.status), request, response)
        return response

    def crashed(self) -> Response:
        """The vendor's 500."""
        message = "An unexpected error occurred."
        return Refused(500, "ServerError", 1, message, target="AvaTaxApiServer", fault="Server").response()

    def _authenticated(self, request: Request) -> bool:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            account, _, key = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        right = hmac.compare_digest(key.encode(), self._login.license_key.encode())
        return right and account == self._login.account

    def _ping(self, known: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"version": "26.10.0", "authenticated": known}
        body["authenticationType"] = "AccountIdLicenseKey" if known else "None"
        if known:
            body |= {"authenticatedUserName": self._login.account, "authenticatedAccountId": int(self._login.account)}
        return body

    def _companies(self) -> dict[str, _Company]:
        """Companies by lower-case code; loaded on first use."""
        if self._loaded is None:
            companies: dict[str, _Company] = {}
            for _, record in self._instance.rows("transaction"):
                code = str(record["companyCode"])
                company = companies.setdefault(code.lower(), _Company(0, code, []))
                company.rows.append(record)
            for number, code in enumerate(sorted(companies)):
                company = companies[code]
                stated = next((row["companyId"] for row in company.rows if row.get("companyId")), None)
                company.id = stated or 700_001 + number
                company.rows = [_as_vendor(row, company.id) for row in company.rows]
                company.rows.sort(key=lambda row: row["id"])
                for row in company.rows:
                    for name, value in row.items():
                        if not isinstance(value, (dict, list)) and (value is not None or name not in self._kinds):
                            self._kinds[name] = _kind(name, value)
            self._loaded = companies
        return self._loaded

    def _route(self, request: Request) -> Response:
        steps = [unquote(step) for step in request.path.strip("/").split("/")]
        if steps[:2] != ["api", "v2"] or request.method != "GET":
            raise _no_route(request)
        match steps[2:]:
            case ["companies"]:
                rows = [_company(company) for company in self._companies().values()]
                kinds = {"id": "number", "companyCode": "text", "name": "text", "isActive": "boolean"}
                return self._fetch(request, rows, kinds)
            case ["companies", company, "transactions"]:
                rows = self._company(company).rows
                return self._fetch(request, rows, self._kinds, shape=shape_of(request), dated=True)
            case ["companies", company, "transactions", code]:
                return self._one(request, company, code, None)
            case ["companies", company, "transactions", code, "types", kind]:
                return self._one(request, company, code, kind)
            case ["transactions", number]:
                every = [row for company in self._companies().values() for row in company.rows]
                return self._single(request, [row for row in every if str(row["id"]) == number], number)
        raise _no_route(request)

    def _company(self, code: str) -> _Company:
        company = self._companies().get(code.lower())
        if company is None:
            raise Refused(404, "EntityNotFoundError", 4, f"Company with code '{code}' not found.")
        return company

    def _one(self, request: Request, company: str, code: str, kind: str | None) -> Response:
        for escaped, sign in _ESCAPES.items():
            code = code.replace(escaped, sign)
        rows = [row for row in self._company(company).rows if row["code"] == code]
        if kind is not None:
            rows = [row for row in rows if row["type"].lower() == kind.lower()]
        return self._single(request, rows, code)

    def _single(self, request: Request, rows: list[Record], wanted: str) -> Response:
        if not rows:
            raise Refused(404, "EntityNotFoundError", 4, f"Transaction with ID '{wanted}' not found.")
        newest = max(rows, key=lambda row: row.get("version") or 0)
        return Response(200, dumps(shape_of(request)(newest)))

    def _fetch(
        self,
        request: Request,
        rows: list[Record],
        kinds: dict[str, str],
        *,
        shape: Callable[[Record], Record] = dict,
        dated: bool = False,
    ) -> Response:
        """One page of a list in the FetchResult envelope."""
        asked = {name.lower(): value for name, value in request.query}
        if extra := set(asked) - _QUERY:
            raise Refused(400, "InvalidQueryParameter", 0, f"Parameter '{sorted(extra)[0]}' is not supported.")
        try:
            chosen = self._filtered(asked.get("$filter"), rows, kinds, dated=dated)
            chosen = _ordered(asked.get("$orderby"), chosen, kinds)
        except FilterError as error:
            description = "The filter or order of the request could not be read."
            raise Refused(400, "InvalidFilter", 0, str(error), description=description) from error
        skip = _number(asked.get("$skip", "0"), "$skip", 0, 10**9)
        top = _number(asked.get("$top", str(TOP_MAX)), "$top", 1, TOP_MAX)
        page = chosen[skip : skip + top]
        body: dict[str, Any] = {"@recordsetCount": len(chosen), "value": [shape(row) for row in page]}
        if skip + top < len(chosen):
            query = [(name, value) for name, value in request.query if name.lower() not in ("$skip", "$top")]
            query += [("$top", str(top)), ("$skip", str(skip + top))]
            body["@nextLink"] = f"{request.base_url}{request.path}?{urlencode(query, quote_via=quote, safe='$')}"
            body["pageKey"] = base64.urlsafe_b64encode(str(skip + top).encode()).decode()
        return Response(200, dumps(body))

    def _filtered(self, text: str | None, rows: list[Record], kinds: dict[str, str], *, dated: bool) -> list[Record]:
        fields: frozenset[str] = frozenset()
        if text:
            found = parse(text, kinds)
            fields = found.fields
            rows_found = [row for row in rows if found.test(row)]
        else:
            rows_found = list(rows)
        if dated and not fields & set(_DATE_FIELDS):
            since = self._now() - DEFAULT_REACH
            rows_found = [row for row in rows_found if value_of("date", row.get("date") or "1970-01-01") >= since]
        return rows_found

    def _now(self) -> datetime:
        stamps = [row.get("modifiedDate") or row["date"] for c in self._companies().values() for row in c.rows]
        return max(value_of("date", stamp) for stamp in stamps)


def _as_vendor(record: Record, company_id: int) -> Record:
    shown = {name: value for name, value in record.items() if name != "companyCode"}
    return shown | {"companyId": company_id}


def _kind(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "date" if name in _DATE_FIELDS else "text"


def _company(company: _Company) -> Record:
    return {"id": company.id, "companyCode": company.code, "name": company.code, "isActive": True}


def _ordered(text: str | None, rows: list[Record], kinds: dict[str, str]) -> list[Record]:
    names = {name.lower(): name for name in kinds}
    for part in reversed([item.split() for item in (text or "").split(",") if item.strip()]):
        name = names.get(part[0].lower())
        direction = part[1].upper() if len(part) > 1 else "ASC"
        if name is None or direction not in ("ASC", "DESC") or len(part) > 2:
            raise FilterError(f"Cannot order by '{' '.join(part)}'")
        kind = kinds[name]
        present = sorted(
            (row for row in rows if row.get(name) is not None),
            key=lambda row, n=name, k=kind: value_of(k, row[n]),  # type: ignore[misc]
            reverse=direction == "DESC",
        )
        rows = [row for row in rows if row.get(name) is None] + present
    return rows


def _number(text: str, name: str, low: int, high: int) -> int:
    if not text.isdigit() or not low <= int(text) <= high:
        message = f"Field '{name}' must be between {low} and {high}."
        raise Refused(400, "RangeError", 6, message)
    return int(text)


def _no_route(request: Request) -> Refused:
    message = f"No HTTP resource was found that matches the request URI '{request.path}'."
    return Refused(404, "EntityNotFoundError", 4, message)


def _broken_page(kind: str, request: Request, response: Response) -> Response:
    """A list answer gone wrong: no rows although more follow, or a next link to this very page."""
    body = json.loads(response.body)
    if "value" in body and kind == "empty_page":
        body["value"] = []
    elif "@nextLink" in body:
        body["@nextLink"] = request.base_url + request.target
    return Response(200, dumps(body))
