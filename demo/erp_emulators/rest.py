"""The generic REST contract (docs/erp-rest.openapi.yaml) as an in-house ledger would serve it, in front of the emulated
books. `RestJobsFace` makes every create a job."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from demo.erp_emulators import receivables
from demo.erp_emulators.core import Job, Refused
from demo.erp_emulators.face import Face
from demo.erp_emulators.ledger import Held
from demo.erp_emulators.rest_records import entry_of, journal_record, major, period_record
from demo.simulators.server import Request, Response, dumps

TOKEN = "emulated-token"  # noqa: S105 - opens nothing but this emulator
PAGE_MAX = 200
MASTERS = {"customers": "customer", "items": "item"}
_PATH = re.compile(r"/v1/companies(?:/(?P<company>[^/]+)(?:/(?P<what>[a-z]+)(?:/(?P<id>[^/]+))?)?)?")


class RestFace(Face):
    """JSON over HTTP, amounts as text in major units."""

    name = "rest"

    asynchronous = False

    def answer(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise Refused("unauthorised", "The token is not valid.")
        match = _PATH.fullmatch(request.path)
        if match is None:
            raise Refused("unknown_document", f"There is no {request.path}.")
        company, what, number = (unquote(part) if part else None for part in match.groups())
        if company is None:
            rows = [{"name": name, "currency": currency} for name, currency in self.erp.ledger.companies().items()]
            return _ok({"companies": rows})
        if company not in self.erp.ledger.companies():
            raise Refused("unknown_company", f"Company {company} does not exist.")
        match (request.method, what, number):
            case ("GET", "accounts", None):
                accounts = self.erp.ledger.accounts(company)
                return _ok({"accounts": [{"code": code, "name": name} for code, name in accounts.items()]})
            case ("GET", "periods", None):
                return _ok({"periods": [period_record(p) for p in self.erp.ledger.periods(company)]})
            case ("GET", "journals", None):
                return self._journals(request, company)
            case ("GET", "balances", None):
                return self._balances(company, request.first("period") or "")
            case ("POST", "journals", None):
                return self._create(request, company)
            case ("GET", "customers" | "items", None):
                return _ok({what: self._masters(request, company, MASTERS[what])})
            case ("POST", "customers" | "items", None):
                return self._add_master(request, company, MASTERS[what])
            case ("GET", "jobs", str() as job_id):
                return _ok(self._job(self.erp.job(job_id)))
        raise Refused("unknown_document", f"There is no {request.method} {request.path}.")

    def refused(self, error: Refused) -> Response:
        headers = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:g}"}
        body = {"error": {"code": error.code, "message": str(error)}}
        return Response(error.status, dumps(body), headers)

    def _create(self, request: Request, company: str) -> Response:
        key = request.headers.get("idempotency-key")
        entry = entry_of(company, _json(request.body), self.erp.ledger.companies()[company])
        if self.asynchronous:
            job = self.erp.enqueue([entry], remember=key)
            return Response(202, dumps({"id": job, "state": "queued"}))
        (record,) = self._records(self.erp.take([entry], remember=key))
        return Response(201, dumps(record))

    def _records(self, documents: Sequence[Held]) -> list[dict[str, Any]]:
        """Documents as they are shown; of those with open items also what is cleared by now."""
        companies = {held.entry.company for held in documents if any(x.customer for x in held.entry.lines)}
        left = {company: receivables.open_amounts(self.erp.ledger, company) for company in companies}
        return [
            journal_record(held, receivables.cleared(held, left[held.entry.company]))
            if held.entry.company in left
            else journal_record(held)
            for held in documents
        ]

    def _masters(self, request: Request, company: str, kind: str) -> list[dict[str, str]]:
        codes = [value for name, value in request.query if name == "code"]
        if not 0 < len(codes) <= PAGE_MAX:
            raise Refused("invalid", f"Ask for 1 to {PAGE_MAX} code values.")
        rows = self.erp.ledger.masters(kind, company, codes)
        return [{"code": code, "name": name, "account": account} for code, name, account in rows]

    def _add_master(self, request: Request, company: str, kind: str) -> Response:
        body = _json(request.body)
        code, name, account = (str(body.get(field) or "") for field in ("code", "name", "account"))
        if not code or not name:
            raise Refused("invalid", f"A {kind} needs a code and a name.")
        if account not in self.erp.ledger.accounts(company):
            raise Refused("unknown_account", f"Account {account} does not exist.")
        try:
            self.erp.ledger.add_master(kind, company, code, name, account)
        except sqlite3.IntegrityError as error:
            raise Refused("duplicate", f"There is a {kind} {code}.") from error
        return Response(201, dumps({"code": code, "name": name, "account": account}))

    def _journals(self, request: Request, company: str) -> Response:
        if period := request.first("period"):
            return self._page(request, company, period)
        keys = [value for name, value in request.query if name == "external_id"]
        ids = [value for name, value in request.query if name == "id"]
        if len(keys) + len(ids) > PAGE_MAX or bool(keys) == bool(ids):
            raise Refused("invalid", f"Ask for 1 to {PAGE_MAX} external_id or id values.")
        held = self.erp.find(company, keys) if keys else self.erp.read(company, ids)
        return _ok({"journals": self._records(held)})

    def _page(self, request: Request, company: str, period: str) -> Response:
        limit, after = request.first("limit") or str(PAGE_MAX), request.first("after") or "0"
        if not (limit.isdigit() and after.isdigit() and 0 < int(limit) <= 500):
            raise Refused("invalid", "limit must be 1 to 500, and after what `next` said.")
        held, total = self.erp.listed(company, period, int(after), int(limit) + 1)
        shown = held[: int(limit)]
        following = shown[-1].id if len(held) > len(shown) else None
        return _ok({"journals": self._records(shown), "total": total, "next": following})

    def _balances(self, company: str, period: str) -> Response:
        currency = self.erp.ledger.companies()[company]
        sums: dict[str, list[int]] = {}
        for held in self.erp.visible(company, period):
            for line in held.entry.lines:
                both = sums.setdefault(line.account, [0, 0])
                both[0] += line.debit
                both[1] += line.credit
        rows = [
            {"account": code, "currency": currency, "debit": major(d, currency), "credit": major(c, currency)}
            for code, (d, c) in sorted(sums.items())
        ]
        return _ok({"balances": rows})

    def _job(self, job: Job | None) -> dict[str, Any]:
        if job is None:
            raise Refused("unknown_document", "There is no such job.")
        code, _, message = job.error.partition(": ")
        error = {"error": {"code": code, "message": message}} if job.error else {}
        return {"id": job.id, "state": job.state, "journals": self._records(job.documents), **error}


class RestJobsFace(RestFace):
    """The same ledger, but a create is answered 202 with a job."""

    name = "rest_jobs"
    asynchronous = True


def _ok(value: Any) -> Response:
    return Response(200, dumps(value))


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Refused("invalid", "The body is not JSON.") from error
    if not isinstance(value, dict):
        raise Refused("invalid", "The body is not an object.")
    return value
