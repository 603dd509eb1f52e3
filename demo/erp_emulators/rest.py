"""The generic REST contract (docs/erp-rest.openapi.yaml) as an in-house ledger would serve it, in front of the emulated
books. `RestJobsFace` makes every create a job."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import unquote

from demo.erp_emulators.core import Job, Refused
from demo.erp_emulators.face import Face
from demo.erp_emulators.ledger import EXPONENTS, Entry, EntryLine, Held
from demo.simulators.server import Request, Response, dumps

TOKEN = "emulated-token"  # noqa: S105 - opens nothing but this emulator
PAGE_MAX = 200
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
                return _ok({"periods": [_period(p) for p in self.erp.ledger.periods(company)]})
            case ("GET", "journals", None):
                return self._journals(request, company)
            case ("GET", "balances", None):
                return self._balances(company, request.first("period") or "")
            case ("POST", "journals", None):
                return self._create(request, company)
            case ("GET", "jobs", str() as job_id):
                return _ok(self._job(self.erp.job(job_id)))
        raise Refused("unknown_document", f"There is no {request.method} {request.path}.")

    def refused(self, error: Refused) -> Response:
        headers = {} if error.retry_after is None else {"Retry-After": f"{error.retry_after:g}"}
        body = {"error": {"code": error.code, "message": str(error)}}
        return Response(error.status, dumps(body), headers)

    def _create(self, request: Request, company: str) -> Response:
        key = request.headers.get("idempotency-key")
        entry = _entry(company, _json(request.body), self.erp.ledger.companies()[company])
        if self.asynchronous:
            job = self.erp.enqueue([entry], remember=key)
            return Response(202, dumps({"id": job, "state": "queued"}))
        (held,) = self.erp.take([entry], remember=key)
        return Response(201, dumps(journal_record(held)))

    def _journals(self, request: Request, company: str) -> Response:
        keys = [value for name, value in request.query if name == "external_id"]
        ids = [value for name, value in request.query if name == "id"]
        if len(keys) + len(ids) > PAGE_MAX or bool(keys) == bool(ids):
            raise Refused("invalid", f"Ask for 1 to {PAGE_MAX} external_id or id values.")
        held = self.erp.find(company, keys) if keys else self.erp.read(company, ids)
        return _ok({"journals": [journal_record(one) for one in held]})

    def _balances(self, company: str, period: str) -> Response:
        currency = self.erp.ledger.companies()[company]
        sums: dict[str, list[int]] = {}
        for held in self.erp.visible(company, period):
            for line in held.entry.lines:
                both = sums.setdefault(line.account, [0, 0])
                both[0] += line.debit
                both[1] += line.credit
        rows = [
            {"account": code, "currency": currency, "debit": _major(d, currency), "credit": _major(c, currency)}
            for code, (d, c) in sorted(sums.items())
        ]
        return _ok({"balances": rows})

    def _job(self, job: Job | None) -> dict[str, Any]:
        if job is None:
            raise Refused("unknown_document", "There is no such job.")
        code, _, message = job.error.partition(": ")
        error = {"error": {"code": code, "message": message}} if job.error else {}
        return {"id": job.id, "state": job.state, "journals": [journal_record(held) for held in job.documents], **error}


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


def _entry(company: str, body: dict[str, Any], functional: str) -> Entry:
    try:
        if body["currency"] != functional:
            raise Refused("invalid", f"{company} keeps its books in {functional}.")
        lines = tuple(
            EntryLine(
                account=line["account"],
                debit=minor(line["debit"], functional),
                credit=minor(line["credit"], functional),
                currency=line["currency"],
                amount=minor(line["amount"], line["currency"]),
                text=line.get("text", ""),
                dimensions=line.get("dimensions", {}),
            )
            for line in body["lines"]
        )
        return Entry(
            key=body["external_id"],
            company=company,
            date=body["date"],
            currency=functional,
            lines=lines,
            text=body.get("text", ""),
            reverses=body.get("reverses"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise Refused("invalid", f"The journal lacks or has a wrong {error}.") from error


def journal_record(held: Held) -> dict[str, Any]:
    entry = held.entry
    return {
        "id": held.id,
        "number": held.number,
        "state": held.state,
        "external_id": entry.key,
        "date": entry.date,
        "period": held.period,
        "currency": entry.currency,
        "text": entry.text,
        "reverses": entry.reverses,
        "lines": [
            {
                "account": line.account,
                "debit": _major(line.debit, entry.currency),
                "credit": _major(line.credit, entry.currency),
                "currency": line.currency,
                "amount": _major(line.amount, line.currency),
                "text": line.text,
                "dimensions": dict(line.dimensions),
            }
            for line in entry.lines
        ],
    }


def _period(period: Any) -> dict[str, str]:
    return {
        "name": period.name,
        "start_date": period.start_date,
        "end_date": period.end_date,
        "state": period.state,
    }


def minor(text: Any, currency: str) -> int:
    """Refuses numbers that are not text, unknown currencies and digits beyond the currency's."""
    if not isinstance(text, str) or currency not in EXPONENTS:
        raise Refused("invalid", f"{text!r} {currency} is not an amount.")
    try:
        minor = Decimal(text).scaleb(EXPONENTS[currency])
    except InvalidOperation as error:
        raise Refused("invalid", f"{text!r} is not an amount.") from error
    if minor != minor.to_integral_value():
        raise Refused("invalid", f"{text} has more digits than {currency}.")
    return int(minor)


def _major(minor: int, currency: str) -> str:
    return format(Decimal(minor).scaleb(-EXPONENTS[currency]), "f")
